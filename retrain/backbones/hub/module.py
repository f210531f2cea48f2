"""`--tfhub_module HANDLE`: a TensorFlow Hub module, in TensorFlow 2's or 1's format, as the network."""

import hashlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone
from retrain.backbones.hub.files import files_digest, module_folder
from retrain.backbones.hub.freeze import FrozenModule, freeze
from retrain.errors import GraphError, reason_of
from retrain.graphdef.input_settings import InferredInput, input_origins
from retrain.graphdef.subgraph import file_ops, subgraph
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.options.network import NetworkOptions

INPUT, BOTTLENECK = "Placeholder", "bottleneck"
CONVENTION = "by the convention of TensorFlow Hub"
SCOPE = "module"  # As in the original's graphs.
# The errors that loading raises for files that are cut off, of another version, or forged.
LOADING_ERRORS = (
    tf.errors.OpError,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    DecodeError,
)


def load_hub_module(handle: str, options: NetworkOptions) -> Backbone:
    """Load the module as a network with the input `Placeholder`, the output `bottleneck`, and all other nodes below `module/`.

    Args:
        handle: a folder, a .tar.gz archive, or an address.
        options: the input settings that precede the module's, and the precision.

    Raises:
        FlagError: there is no such folder or archive; the size given is not the module's.
        GraphError: it is no module of images, is damaged, or accesses files.
        ModelUnavailableError: it cannot be downloaded.
    """
    with module_folder(handle) as folder:
        digest = files_digest(folder)
        try:
            module = freeze(folder, options)
            network, bottleneck_size = _network(module)
        except GraphError as error:
            raise GraphError(f"--tfhub_module {handle}: {error}") from error
        except LOADING_ERRORS as error:
            reason = reason_of(error).split("\n", 1)[0]
            raise GraphError(
                f"--tfhub_module {handle}: the module in {folder} cannot be loaded ({reason}). Get a new copy."
            ) from error
    chosen = Architecture(
        name=handle,
        input_tensor=f"{INPUT}:0",
        bottleneck_tensor=f"{BOTTLENECK}:0",
        batch_tensor=f"{BOTTLENECK}:0",
        bottleneck_size=bottleneck_size,
        input_spec=module.input_spec,
        graph_file=handle,
    )
    # Of the files, not of the graph: freezing can choose other names in each process. Part of the cache format.
    text = f"({digest!r}, {bottleneck_size!r}, {chosen.input_spec.fingerprint_text}, {options.precision!r})"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    origins = {
        **input_origins(options, None, InferredInput(INPUT)),
        **{name: CONVENTION for name in ("mean", "std") if getattr(options, f"input_{name}") is None},
    }
    return Backbone(chosen, network, fingerprint, network.ByteSize(), options.precision, origins=origins)


def _network(module: FrozenModule) -> tuple[GraphDef, int]:
    """Return the module between the input and the bottleneck that the original's graphs have, and the bottleneck's size."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, module.input_spec.height, module.input_spec.width, 3], name=INPUT)
        [output] = tf.graph_util.import_graph_def(module.graph_def, {module.feed: images}, [module.fetch], name=SCOPE)
        bottleneck = tf.identity(output, name=BOTTLENECK)
        # Attributes with their default value are left out: older readers do not know all of them.
        exported = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph.as_graph_def(), strip_default_attrs=True)
    network = subgraph(from_tensorflow(exported.graph_def), [BOTTLENECK])
    if accessing := file_ops(network, BOTTLENECK):
        raise GraphError(f"It has operations that can read or write files: {', '.join(accessing)}.")
    if INPUT not in {node.name for node in network.node}:
        raise GraphError("Its output is not computed from its input.")
    return network, _vector_size(bottleneck)


def _vector_size(bottleneck: tf.Tensor) -> int:
    shape = bottleneck.shape.as_list() if bottleneck.shape.rank is not None else None
    if bottleneck.dtype != tf.float32 or shape is None or len(shape) != 2 or shape[1] is None:
        found = "of unknown shape" if shape is None else f"{[size or '?' for size in shape]}".replace("'", "")
        raise GraphError(f"Its output must be a vector for each image, float32 [N, D]. It is {bottleneck.dtype.name} {found}.")
    return int(shape[1])
