"""`--architecture path/to/graph.pb`: any frozen graph as the network. Its input and its bottleneck are inferred if possible."""

import logging
import math

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone, graph_fingerprint
from retrain.engines.choice import converted
from retrain.engines.part import NetworkPart
from retrain.errors import FlagError, GraphError, reason_of
from retrain.graphdef.description import read_description
from retrain.graphdef.file_kind import part_of_saved_model
from retrain.graphdef.find_layers import check_layer, find_bottleneck, find_pixel_input, is_downstream, layer_names
from retrain.graphdef.imported import without_prefix
from retrain.graphdef.input_settings import GIVEN, INFERRED, METADATA, infer_input, input_origins, resolve_input
from retrain.graphdef.nodes import FLOAT, array, constant, declared_shape, find_node, node_name, plain_node, tensor_name
from retrain.graphdef.pooled_size import pooled_size
from retrain.graphdef.run import batch_function, parse_graph
from retrain.graphdef.subgraph import file_ops, subgraph
from retrain.input_spec import APPLY, InputSpec
from retrain.options.network import NetworkOptions
from retrain.process.tensorflow_loading import is_loaded, tensorflow_errors

FLATTENED = "flattened_bottleneck"

logger = logging.getLogger("retrain")


def load_local_graph(path: str, options: NetworkOptions) -> Backbone:
    """Load the network in a frozen graph's file. Options override metadata, which overrides inference.

    Raises:
        GraphError: the file cannot be read or holds no graph; a layer is not in it or cannot be inferred; the graph does not run
            with batches of images, does not compute one vector for each, or accesses files.
        FlagError: a size was given that is not the graph's.
    """
    try:
        with open(path, "rb") as file:
            graph_bytes = file.read()
    except OSError as error:
        raise GraphError(f"--architecture {path}: the file cannot be read ({error.strerror}).") from error
    if part := part_of_saved_model(path, graph_bytes):
        raise GraphError(f"--architecture {path} {part}")
    try:
        network, architecture, origins = cut_network(path, parse_graph(graph_bytes, "it"), options)
    except GraphError as error:
        raise GraphError(f"--architecture {path}: {error}") from error
    fingerprint = graph_fingerprint(graph_bytes, architecture, options.precision)
    return Backbone(architecture, network, fingerprint, len(graph_bytes), options.precision, origins=origins)


def cut_network(path: str, graph_def: GraphDef, options: NetworkOptions) -> tuple[GraphDef, Architecture, dict[str, str]]:
    """Return the part of the graph that computes the bottleneck, its tensors and input, and where these are known from."""
    graph_def = without_prefix(graph_def)
    metadata = read_description(graph_def)
    input_layer = options.input_layer or (metadata.input_tensor if metadata else find_pixel_input(graph_def))
    input_node = _layer("input_layer", input_layer, graph_def)
    bottleneck = _layer("bottleneck_layer", options.bottleneck_layer or find_bottleneck(graph_def, input_node.name), graph_def)
    if options.bottleneck_layer:
        _check_bottleneck(graph_def, input_node.name, bottleneck.name)
    network = subgraph(graph_def, [bottleneck.name])
    if accessing := file_ops(network, bottleneck.name):
        raise GraphError(f"It has operations that can read or write files: {', '.join(accessing)}.")
    if input_node.name not in {node.name for node in network.node}:
        raise GraphError(f"Its layer {bottleneck.name} is not computed from its input {input_node.name}.")
    declared = declared_shape(input_node)
    pooled = None if declared else pooled_size(network, input_node.name, bottleneck.name)
    inferred = infer_input(input_node.name, declared, pooled)
    spec = resolve_input(options, metadata, inferred, APPLY)
    input_tensor = tensor_name(input_node.name)
    batch_tensor = bottleneck_tensor = tensor_name(bottleneck.name)
    shape = check_batches(network, input_tensor, batch_tensor, spec)
    if len(shape) == 4:  # The head is a matrix product, and takes [N, D].
        bottleneck_tensor = _flatten(network, batch_tensor, shape[-1])
    origins = {
        "input layer": GIVEN if options.input_layer else METADATA if metadata else INFERRED,
        "bottleneck": GIVEN if options.bottleneck_layer else INFERRED,
        **input_origins(options, metadata, inferred),
    }
    architecture = Architecture(
        # Another layer of the same graph has a cache of its own.
        name=f"{path}:{bottleneck.name}" if options.bottleneck_layer else path,
        input_tensor=input_tensor,
        bottleneck_tensor=bottleneck_tensor,
        batch_tensor=batch_tensor,
        bottleneck_size=shape[-1],
        input_spec=spec,
        graph_file=path,
    )
    return network, architecture, origins


def _check_bottleneck(graph_def: GraphDef, graph_input: str, chosen: str) -> None:
    """Warn if the chosen layer comes after the bottleneck: it then holds scores of the classes that the network knows already."""
    try:
        bottleneck = find_bottleneck(graph_def, graph_input)
    except GraphError:
        return
    if chosen != bottleneck and is_downstream(graph_def, chosen, bottleneck):
        warn_of_class_scores(chosen, bottleneck)


def warn_of_class_scores(chosen: str, bottleneck: str) -> None:
    """Warn that the layer `chosen` comes after the layer `bottleneck`."""
    logger.warning(
        "--bottleneck_layer %s comes after the layer %s: it holds scores of the network's own classes, and a classifier "
        "trained on these is usually less accurate. Leave --bottleneck_layer out to use %s.",
        chosen,
        bottleneck,
        bottleneck,
    )


def _layer(flag: str, layer: str, graph_def: GraphDef) -> NodeDef:
    """Return the operation of that name, with or without the number of its first output."""
    if tensor_name(layer) != f"{node_name(layer)}:0":
        raise FlagError(f"--{flag} must be the first output of an operation. Got {layer}.")
    check_layer(flag, layer, layer_names(graph_def))
    return next(node for node in graph_def.node if node.name == node_name(layer))


def check_batches(network: GraphDef, input_tensor: str, bottleneck_tensor: str, spec: InputSpec) -> tuple[int, ...]:
    """Return the shape of the bottlenecks of two black images: (2, D) or (2, 1, 1, D).

    Raises:
        GraphError: the network does not run with them, or computes something else.
    """
    if shape := _shape_of_conversion(NetworkPart(network, input_tensor, bottleneck_tensor, spec)):
        return shape
    try:
        values = batch_function(network, input_tensor, bottleneck_tensor)(np.zeros((2, spec.height, spec.width, 3), np.float32))
    except tensorflow_errors(RuntimeError, ValueError) as error:
        raise GraphError(
            f"It does not run with two images of {spec.height} × {spec.width} pixels at its input {input_tensor}: "
            f"{reason_of(error)}"
        ) from error
    shape = np.shape(values)
    if shape[:1] != (2,) or len(shape) not in (2, 4) or set(shape[1:-1]) - {1} or values.dtype != np.float32:
        raise GraphError(
            f"Its layer {bottleneck_tensor} must be a vector for each image, float32 [2, D] for two images. It is {values.dtype} "
            f"{list(shape)}: name another one with --bottleneck_layer."
        )
    return shape


def _shape_of_conversion(part: NetworkPart) -> tuple[int, ...] | None:
    """Return the shape of the bottlenecks of two images, if a conversion tells it: then TensorFlow need not be loaded for it."""
    known = None if is_loaded() else converted(part)
    if known is None:
        return None
    shape = (2, *known.output_shape[1:])
    if part.output != part.output_tensor:  # There is a reshape between them.
        node = find_node(part.graph_def, node_name(part.output_tensor))
        sizes = find_node(part.graph_def, node_name(node.input[1])) if node and node.op == "Reshape" else None
        if sizes is None or sizes.op != "Const" or array(sizes.attr["value"].tensor).shape != (2,):
            return None
        shape = (2, math.prod(shape[1:]))
    return shape if len(shape) in (2, 4) and set(shape[1:-1]) <= {1} else None


def _flatten(network: GraphDef, tensor: str, size: int) -> str:
    """Add a reshape from [N, 1, 1, D] to [N, D] to the network; return its tensor."""
    taken = {node.name for node in network.node}
    name = next(each for each in (FLATTENED, *(f"{FLATTENED}_{n}" for n in range(len(taken) + 1))) if each not in taken)
    network.node.extend(
        [
            constant(f"{name}/shape", np.array([-1, size], np.int32)),
            plain_node("Reshape", name, node_name(tensor), f"{name}/shape", T=FLOAT),
        ]
    )
    return f"{name}:0"
