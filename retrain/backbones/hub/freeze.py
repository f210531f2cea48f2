"""Freezing of a module's folder, in either format: a SavedModel of TensorFlow 2, or a module of TensorFlow 1.

A module of TensorFlow 1 is put together here: its graph is imported, and its variables are restored by operations of our own, so
that nothing is run that the network itself does not need. A SavedModel of TensorFlow 2 can only be loaded as a whole, and loading
runs its own initializers; so its operations are checked before, and those that save its variables are removed.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BytesValue
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from retrain.backbones.hub.files import SAVED_MODEL
from retrain.errors import GraphError
from retrain.graphdef.input_settings import InferredInput, resolve_input
from retrain.graphdef.nodes import node_name
from retrain.graphdef.subgraph import FILE_OPS
from retrain.input_spec import APPLY, InputSpec
from retrain.options.network_input import NetworkInputOptions
from retrain.process.temporary import temporary_folder

# In order of preference, if a module has several; the original uses the first.
SIGNATURES = ("default", "image_feature_vector", "serving_default")
OUTPUT = "default"  # TensorFlow Hub, "Common signatures for images": the name of a feature vector among several outputs.
# Every SavedModel has these operations for its variables, and two of them write. No network needs others that access files.
SAVING = {"SaveV2", "MergeV2Checkpoints"}
OF_VARIABLES = {*SAVING, "RestoreV2", "ShardedFilename"}
VARIABLES = os.path.join("variables", "variables")
ATTACHMENTS, IMAGE_INFO = "hub_module_attachments", "image_module_info"
MEAN, STD = 0.0, 255.0  # TensorFlow Hub, "Common signatures for images": modules take values from 0 to 1.
Size = tuple[int | None, int | None]


@dataclasses.dataclass(frozen=True)
class FrozenModule:
    """A module whose variables have become constants.

    Attributes:
        graph_def: its graph.
        feed, fetch: the tensors of its input, float32 [N, height, width, 3], and of its output.
        input_spec: the input settings.
    """

    graph_def: GraphDef
    feed: str
    fetch: str
    input_spec: InputSpec


def freeze(folder: str, options: NetworkInputOptions) -> FrozenModule:
    """Freeze the module in `folder`.

    Raises:
        FlagError: the size given is not the only one that the module takes.
        GraphError: it is no module of images, its size cannot be inferred, or it accesses files.
        Whatever TensorFlow raises for damaged files.
    """
    saved_model = SavedModel()
    with open(os.path.join(folder, SAVED_MODEL), "rb") as file:
        saved_model.ParseFromString(file.read())
    if not saved_model.meta_graphs:
        raise GraphError(f"Its {SAVED_MODEL} holds no graph.")
    # A module of TensorFlow 1 has one graph for use, without tags, beside one for training.
    meta = min(saved_model.meta_graphs, key=lambda each: len(each.meta_info_def.tags))
    if meta.object_graph_def.nodes:
        _check_variables(folder, any(node.HasField("variable") for node in meta.object_graph_def.nodes))
        with temporary_folder() as copy:
            for each in saved_model.meta_graphs:
                _disarm(each.graph_def)
            _write_copy(folder, copy, saved_model)
            return _freeze_tf2(copy, options)
    return _freeze_tf1(meta, folder, options)


def _check_variables(folder: str, needed: bool) -> None:
    if needed and not os.path.isfile(os.path.join(folder, f"{VARIABLES}.index")):
        raise GraphError("Its file variables/variables.index is missing. Get a new copy.")


def _disarm(graph_def: GraphDef) -> None:
    """Remove operations that save variables. Raises GraphError if others access files."""
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    if found := {node.op for node in nodes if FILE_OPS.search(node.op)} - OF_VARIABLES:
        raise GraphError(f"It has operations that can read or write files: {', '.join(sorted(found))}.")
    for node in nodes:
        if node.op in SAVING:  # They have no outputs.
            node.CopyFrom(NodeDef(name=node.name, op="NoOp"))


def _write_copy(folder: str, copy: str, saved_model: SavedModel) -> None:
    """Write `saved_model` into the folder `copy`, beside links to the module's own variables and assets."""
    with open(os.path.join(copy, SAVED_MODEL), "wb") as file:
        file.write(saved_model.SerializeToString())
    for name in filter(lambda name: os.path.isdir(os.path.join(folder, name)), ("variables", "assets")):
        source = os.path.abspath(os.path.join(folder, name))
        try:
            os.symlink(source, os.path.join(copy, name), target_is_directory=True)
        except OSError:  # Windows does not let every user make links.
            shutil.copytree(source, os.path.join(copy, name))


def _freeze_tf2(folder: str, options: NetworkInputOptions) -> FrozenModule:
    module = tf.saved_model.load(folder)
    function, spec = _function_of_images(module)
    _check_pixels(spec.dtype, spec.shape.as_list() if spec.shape.rank is not None else None)
    height, width = spec.shape.as_list()[1:3] if spec.shape.rank == 4 else (None, None)
    settings = resolve_input(options, None, InferredInput("images", height, width, MEAN, STD), APPLY)
    images = tf.TensorSpec([None, settings.height, settings.width, 3], tf.float32, name="images")

    def network(images: tf.Tensor) -> tf.Tensor:
        return _vector(function(images))

    network = tf.autograph.experimental.do_not_convert(network)
    frozen = convert_variables_to_constants_v2(tf.function(network).get_concrete_function(images))
    return FrozenModule(frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name, settings)


def _function_of_images(module: Any) -> tuple[Callable[[tf.Tensor], Any], tf.TensorSpec]:
    """Return the function of a batch of images, the module itself or else one of its signatures, and what it takes."""
    traces = getattr(getattr(module, "__call__", None), "concrete_functions", None) or []  # noqa: B004 - each has `__call__`.
    for trace in traces:
        inputs = tf.nest.flatten(trace.structured_input_signature)
        specs = [spec for spec in inputs if isinstance(spec, tf.TensorSpec) and spec.dtype != tf.bool]  # That one is `training`.
        if len(specs) == 1:
            return _caller(module), specs[0]
    signatures = getattr(module, "signatures", {})
    function = signatures[_signature_name(signatures)]
    (_, named) = function.structured_input_signature
    name, spec = _only(named, "input")
    return lambda images: function(**{name: images}), spec


def _caller(module: Any) -> Callable[[tf.Tensor], Any]:
    """Return a function that calls the module for inference: with training=False, if it has that argument."""

    def call(images: tf.Tensor) -> Any:
        try:
            return module(images, training=False)
        except (TypeError, ValueError):
            return module(images)

    return call


def _vector(output: Any) -> tf.Tensor:
    if isinstance(output, Mapping):
        return _only(output, "output")[1]
    tensors = tf.nest.flatten(output)
    if len(tensors) != 1:
        raise GraphError(f"It must have one output, or outputs with names. It has {len(tensors)} without names.")
    return tensors[0]


def _signature_name(names: Iterable[str]) -> str:
    usual = [name for name in SIGNATURES if name in names] or sorted(name for name in names if not name.startswith("__"))
    if not usual or (len(usual) > 1 and usual[0] not in SIGNATURES):
        raise GraphError(f"It has no signature {', '.join(SIGNATURES[:-1])} or {SIGNATURES[-1]}. Found: {_listed(usual)}.")
    return usual[0]


def _only(named: Mapping[str, Any], what: str) -> tuple[str, Any]:
    """Return the only input or output with its name, or of several outputs the one with the name of feature vectors."""
    if what == "output" and OUTPUT in named:
        return OUTPUT, named[OUTPUT]
    if len(named) != 1:
        raise GraphError(f"A network of images must have exactly one {what}. Found: {_listed(sorted(named))}.")
    return next(iter(named.items()))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _check_pixels(dtype: tf.DType, shape: list[int | None] | None) -> None:
    fits = shape is None or (len(shape) == 4 and shape[0] is None and shape[3] in (3, None))
    if dtype != tf.float32 or not fits:
        found = "" if shape is None else f" {[size or '?' for size in shape]}".replace("'", "")
        raise GraphError(f"It must take colour images, float32 [N, height, width, 3]. It takes {dtype.name}{found}.")


def _freeze_tf1(meta: MetaGraphDef, folder: str, options: NetworkInputOptions) -> FrozenModule:
    signature = meta.signature_def[_signature_name(meta.signature_def)]
    _, images = _only(dict(signature.inputs), "input")
    fetch = _only(dict(signature.outputs), "output")[1].name
    (height, width), takes_others = _image_size(images, meta)
    inferred = InferredInput(node_name(images.name), height, width, MEAN, STD, takes_others)
    settings = resolve_input(options, None, inferred, APPLY)
    with tf.Graph().as_default() as graph:
        copy = MetaGraphDef()
        copy.CopyFrom(meta)
        copy.ClearField("saver_def")  # Its operations are the module's own.
        tf.compat.v1.train.import_meta_graph(copy, clear_devices=True)
        variables = tf.compat.v1.global_variables()
        with tf.compat.v1.Session(graph=graph) as session:
            _check_variables(folder, bool(variables))
            if variables:
                tf.compat.v1.train.Saver(variables).restore(session, os.path.join(folder, VARIABLES))
            frozen = tf.compat.v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [node_name(fetch)])
    return FrozenModule(frozen, images.name, fetch, settings)


def _image_size(images: TensorInfo, meta: MetaGraphDef) -> tuple[Size, bool]:
    """Return height and width, and True if the module takes others too."""
    shape = (
        None if images.tensor_shape.unknown_rank else [size.size if size.size > 0 else None for size in images.tensor_shape.dim]
    )
    _check_pixels(tf.as_dtype(images.dtype), shape)
    if shape and None not in shape[1:3]:
        return (shape[1], shape[2]), False
    return _attached_size(meta), True


def _attached_size(meta: MetaGraphDef) -> Size:
    """Return the height and width, beside the module's graph, of the images that it was trained on.

    The messages are hub.ModuleAttachment {string key = 1; bytes value = 2} and hub.ImageModuleInfo {InputSize size = 1}, with
    InputSize {int32 height = 1; int32 width = 2}. Today's TensorFlow Hub lacks them; these of protobuf have the same encoding.
    """
    for data in meta.collection_def[ATTACHMENTS].bytes_list.value if ATTACHMENTS in meta.collection_def else ():
        attachment = AnyMessage.FromString(data)
        if attachment.type_url == IMAGE_INFO:
            size = Duration.FromString(BytesValue.FromString(attachment.value).value)
            return size.seconds or None, size.nanos or None
    return None, None
