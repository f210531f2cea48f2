"""Opening of classifiers. The content tells the kind: frozen graph, SavedModel, Keras, TensorFlow Lite or ONNX file."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from tensorboard.compat.proto.graph_pb2 import GraphDef

from label_image.config import ClassifierOptions
from label_image.labels import find_labels
from label_image.settings import with_settings
from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.keras.files import is_keras_file
from retrain.engines.choice import Work, network_function
from retrain.engines.head import find_head
from retrain.engines.part import NetworkPart
from retrain.errors import GraphError
from retrain.graphdef.description import Description, input_fields, read_description
from retrain.graphdef.file_kind import models_in, part_of_saved_model, wrong_kind
from retrain.graphdef.find_layers import (
    JPEG_CONTENTS,
    check_layer,
    find_classifier_input,
    find_output,
    input_candidates,
    layer_names,
    not_inferred,
    output_candidates,
)
from retrain.graphdef.imported import plain_name, without_prefix
from retrain.graphdef.input_settings import infer_input, resolve_input
from retrain.graphdef.nodes import declared_shape, find_node, node_name, tensor_name
from retrain.graphdef.pooled_size import pooled_size
from retrain.graphdef.run import batch_function, bytes_function, parse_graph, read_bytes
from retrain.graphdef.subgraph import file_ops
from retrain.input_spec import InputSpec
from retrain.options.engine import AUTO, TENSORFLOW
from retrain.process.tensorflow_loading import load_tensorflow

if TYPE_CHECKING:
    from retrain.backbones.keras.classifier import FrozenClassifier
    from retrain.runtimes.model import RuntimeModel

FileFunction: TypeAlias = Callable[[bytes], FloatArray]  # An image file's content → float32 [1, C].
TFLITE_MARK = b"TFL3"  # Bytes 4 to 8 of every TensorFlow Lite file: `file_identifier` in its schema.fbs.
ONNX_MARK = b"\x08"  # The tag of a ModelProto's first field, a number; field 1 of a GraphDef holds its nodes, tag 0x0a.
NO_PIXELS = InputSpec(1, 1, 0.0, 1.0)  # The input settings of a graph that decodes files itself.


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier, opened.

    Attributes:
        description: its labels, tensors and input settings, with the user's options instead of the metadata.
        network: loads the network for some work; returns the function float32 [B, H, W, 3] → float32 [B, C].
        file_network: the same for the bytes of an image file, if the graph decodes files itself; else None.
    """

    description: Description
    network: Callable[[Work], BatchFunction]
    file_network: Callable[[], FileFunction] | None = None


def open_classifier(path: str, options: ClassifierOptions) -> Classifier:
    """Open a trained classifier of any kind.

    Raises:
        FlagError: a given size is not the one that the input takes.
        GraphError: it is missing, damaged or needs a package; a named layer is not in it; the input, the output or the labels are
            not known; it accesses files.
    """
    if os.path.isdir(path):
        return _open_saved_model(path, options)
    options = with_settings(path, options)
    if is_keras_file(path):
        load_tensorflow()
        from retrain.backbones.keras.classifier import freeze_keras_file

        return _frozen_classifier(path, freeze_keras_file(path, options), None, options)
    data = read_bytes(path)
    _check_kind(data, path)
    if data[4:8] == TFLITE_MARK or path.lower().endswith(".tflite"):
        from retrain.runtimes.tflite import open_tflite  # A runtime is loaded only for its own files.

        return _runtime_classifier(path, open_tflite(data, path, options.allow_file_ops), options)
    if data[:1] == ONNX_MARK or path.lower().endswith(".onnx"):
        from retrain.runtimes.onnx import open_onnx

        return _runtime_classifier(path, open_onnx(data, path), options)
    graph_def = parse_graph(data, path)
    return open_graph_def(path, graph_def, read_description(graph_def), options)


def _check_kind(data: bytes, path: str) -> None:
    """Raise GraphError for a file that is of another kind than all those that can be opened."""
    other = None if data[4:8] == TFLITE_MARK else wrong_kind(data, "a trained graph")
    if other := other or part_of_saved_model(path, data):
        raise GraphError(f"--graph {path} {other}")


def _open_saved_model(path: str, options: ClassifierOptions) -> Classifier:
    from retrain.runtimes.saved_model import FILE, VariablesError, is_saved_model, open_saved_model, read_metadata

    if not is_saved_model(path):
        raise GraphError(f"--graph {path} is a folder, but no SavedModel: there is no {FILE} in it.{models_in(path)}")
    try:
        opened = open_saved_model(path)
    except VariablesError:
        load_tensorflow()
        from retrain.backbones.keras.classifier import freeze_saved_model

        return _frozen_classifier(path, freeze_saved_model(path, options), read_metadata(path), options)
    return open_graph_def(path, opened.graph_def, opened.metadata, options, (opened.input_tensor, opened.output_tensor))


def _frozen_classifier(
    path: str, frozen: "FrozenClassifier", metadata: Description | None, options: ClassifierOptions
) -> Classifier:
    labels = find_labels(path, options.labels, metadata)
    about = _describe(metadata, labels, frozen.input_spec, frozen.input_tensor, frozen.output_tensor)
    return graph_classifier(frozen.graph_def, about, options.engine)


def open_graph_def(
    path: str,
    graph_def: GraphDef,
    metadata: Description | None,
    options: ClassifierOptions,
    tensors: tuple[str, str] | None = None,
) -> Classifier:
    """Return the classifier of a graph.

    Args:
        path: of its file; labels are looked for beside it.
        graph_def: the graph.
        metadata: of the graph; None if it has none.
        options: what the user states; they precede the metadata.
        tensors: of the input and the output, under the names that a SavedModel gives them; None for those of the metadata.

    Raises:
        FlagError, GraphError: as `open_classifier`.
    """
    graph_def = without_prefix(graph_def)
    options = dataclasses.replace(options, **_plain_layers(options, graph_def))
    metadata = metadata or read_description(graph_def)
    if tensors is None and metadata:
        tensors = metadata.input_tensor, metadata.output_tensor
    names = layer_names(graph_def)
    source = options.input_layer or (tensors[0] if tensors else find_classifier_input(graph_def))
    check_layer("input_layer", source, names, input_candidates(graph_def))
    output = options.output_layer or (tensors[1] if tensors else find_output(graph_def))
    check_layer("output_layer", output, names, output_candidates(graph_def))
    if not options.allow_file_ops:
        _check_no_file_ops(graph_def, output)
    if metadata and tensors:
        metadata = dataclasses.replace(metadata, input_tensor=tensors[0])
    node = find_node(graph_def, node_name(source))
    shape = declared_shape(node) if node else []
    decodes = node_name(source) == JPEG_CONTENTS
    pooled = None if shape or decodes else pooled_size(graph_def, node_name(source), node_name(output))
    spec = NO_PIXELS if decodes else resolve_input(options, metadata, infer_input(node_name(source), shape, pooled))
    labels = find_labels(path, options.labels, metadata)
    # An operation that accesses files, run by permission, is none that could be converted.
    engine = TENSORFLOW if options.allow_file_ops else options.engine
    return graph_classifier(graph_def, _describe(metadata, labels, spec, tensor_name(source), tensor_name(output)), engine)


def graph_classifier(graph_def: GraphDef, description: Description, engine: str = AUTO) -> Classifier:
    """Return the classifier of a graph whose labels, tensors and input settings are known."""
    source, output = description.input_tensor, description.output_tensor
    if node_name(source) == JPEG_CONTENTS:
        return Classifier(
            description,
            network=lambda work: batch_function(graph_def, source, output),
            file_network=lambda: bytes_function(graph_def, source, output),
        )
    return Classifier(description, network=lambda work: _scores_function(graph_def, description, engine, work))


def _scores_function(graph_def: GraphDef, description: Description, engine: str, work: Work) -> BatchFunction:
    """Return the function from images to scores. Of an exported graph, the network's own conversion is used.

    Its last layers differ with every training; they are computed in NumPy, unless TensorFlow is loaded in any case.
    """
    source, output, spec = description.input_tensor, description.output_tensor, description.input_spec
    head = find_head(graph_def, output)
    if engine == TENSORFLOW or head is None:
        return network_function(NetworkPart(graph_def, source, output, spec), engine, work)
    return head.after(network_function(NetworkPart(graph_def, source, head.bottleneck_tensor, spec), engine, work))


def _plain_layers(options: ClassifierOptions, graph_def: GraphDef) -> dict[str, Any]:
    """Return the layers that the options name as the tutorial's programs do, `import/input`, as the graph names them."""
    names = layer_names(graph_def)
    given = {flag: layer for flag in ("input_layer", "output_layer") if (layer := getattr(options, flag)) is not None}
    return {flag: plain_name(layer) for flag, layer in given.items() if node_name(layer) not in names}


def _check_no_file_ops(graph_def: GraphDef, output_tensor: str) -> None:
    if found := file_ops(graph_def, output_tensor):
        raise GraphError(
            f"The graph has operations that can read or write files: {', '.join(found)}. If you trust whoever made it, "
            "add --allow_file_ops."
        )


def _runtime_classifier(path: str, model: "RuntimeModel", options: ClassifierOptions) -> Classifier:
    metadata = model.metadata
    source = _tensor("input", options.input_layer, metadata.input_tensor if metadata else None, model.inputs)
    output = _tensor("output", options.output_layer, metadata.output_tensor if metadata else None, model.outputs)
    shape = model.inputs[source]
    if len(shape) != 4 or shape[3] not in (3, None):
        sizes = ", ".join("?" if size is None else str(size) for size in shape)
        raise GraphError(f"The input {source} must take images, [N, height, width, 3]. It takes [{sizes}].")
    inferred = infer_input(node_name(source), shape)
    if levels := model.input_levels.get(source):
        inferred = dataclasses.replace(inferred, mean=levels[0], std=levels[1])
    spec = resolve_input(options, metadata, inferred)
    labels = model.labels if model.labels and not (metadata or options.labels) else find_labels(path, options.labels, metadata)
    return Classifier(_describe(metadata, labels, spec, source, output), network=lambda work: model.function(source, output))


def _tensor(kind: str, given: str | None, described: str | None, tensors: Iterable[str]) -> str:
    """Return the file's own name of the input or output: the one given, or that in the metadata, or the only one."""
    names = {node_name(tensor): tensor for tensor in tensors}
    layer = given or described
    if layer is None:
        if len(names) != 1:
            raise not_inferred(kind, list(names))
        return next(iter(names.values()))
    check_layer(f"{kind}_layer", layer, names, list(names))
    return names[node_name(layer)]


def _describe(
    metadata: Description | None, labels: tuple[str, ...], spec: InputSpec, input_tensor: str, output_tensor: str
) -> Description:
    return Description(
        labels=labels,
        input_tensor=input_tensor,
        **input_fields(spec),
        output_tensor=output_tensor,
        architecture=metadata.architecture if metadata else "",
        note=metadata.note if metadata else "",
        split_digest=metadata.split_digest if metadata else "",
        training_photos=metadata.training_photos if metadata else None,
        thresholds=metadata.thresholds if metadata and len(metadata.thresholds) == len(labels) else (),
    )
