"""The exported graph without what only training programs and TensorFlow 1 need, as converters expect it."""

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.graphdef.description import Description
from retrain.graphdef.nodes import FLOAT, constant, identity, node_name, plain_node, set_shape
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.subgraph import subgraph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.process.tensorflow_loading import load_tensorflow


def inference_graph(graph_def: GraphDef, description: Description) -> GraphDef:
    """Return a copy from a placeholder, float32 [N, H, W, 3], to the probabilities, float32 [N, C], under the graph's own names.

    Args:
        graph_def: the exported graph; not changed.
        description: names its input and its output.
    """
    source, output = node_name(description.input_tensor), node_name(description.output_tensor)
    cut = GraphDef(versions=graph_def.versions, library=graph_def.library)
    cut.node.extend(_placeholder(node.name, description) if node.name == source else node for node in graph_def.node)
    runnable = runnable_copy(_with_plain_weights(subgraph(cut, [output]), output), keep=source)
    for node in runnable.node:
        if node.op == "PlaceholderWithDefault":  # Where other programs feed bottlenecks; no converter knows the operation.
            node.CopyFrom(identity(node, "dtype"))
    return runnable


def _with_plain_weights(graph_def: GraphDef, output: str) -> GraphDef:
    """Return a copy in which weights of 8 bits, as in the quantized MobileNets, are float32 constants.

    Converters do not know the operation that converts them in the graph; 8-bit formats quantize by themselves.
    """
    constants = {node.name for node in graph_def.node if node.op == "Const"}
    weights = [node for node in graph_def.node if node.op == "Dequantize" and constants.issuperset(node.input)]
    if not weights:
        return graph_def
    tf = load_tensorflow()
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(to_tensorflow(subgraph(graph_def, [node.name for node in weights])), name="")
        with tf.compat.v1.Session(graph=graph) as session:
            values = session.run([f"{node.name}:0" for node in weights])
    for node, value in zip(weights, values, strict=True):
        node.CopyFrom(constant(node.name, value))
    return subgraph(graph_def, [output])


def _placeholder(name: str, description: Description) -> NodeDef:
    node = plain_node("Placeholder", name, dtype=FLOAT)
    set_shape(node, [None, description.input_height, description.input_width, 3])
    return node
