"""Stand-ins for the 2015 Inception archive (88 MB, not always available), a server for them, a way to run them.

Both graphs have the archive's node names and awkward parts: an old producer version, the old `Concat`,
`BatchNormWithGlobalNormalization`, checks tied in by control inputs, a batch frozen at 1 after `pool_3`,
a classifier to cut off. Nodes carry required attributes only, so TensorFlow 1.15 reads them too.
"""

import contextlib
import http.server
import io
import math
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto

ARCHIVE = "inception-2015-12-05.tgz"
GRAPH_FILE = "classify_image_graph_def.pb"
BOTTLENECK_SIZE = 2048  # the archive's
BATCH_NORM_INPUTS = ("moving_mean", "moving_variance", "beta", "gamma")  # in the op's order, after the tensor


def tiny_inception_graph(seed: int = 0) -> GraphDef:
    """Return a network of five convolutions, below 200 KB.

    Gammas differ from 1 also where `scale_after_normalization` is off: they must have no effect there.
    """
    rng = np.random.default_rng(seed)
    builder = _GraphBuilder()

    def conv(source: str, kernel_shape: Sequence[int], stride: int, scale: bool) -> str:
        convolved = builder.conv(source, random_kernel(rng, kernel_shape), stride, "SAME")
        return builder.relu(builder.batch_norm(convolved, random_batch_norm(rng, kernel_shape[3]), scale))

    x = conv(builder.image_input(), (5, 5, 3, 8), 4, scale=False)  # [1, 75, 75, 8]
    x = builder.pool("MaxPool", x, 3, 2, "VALID")  # [1, 37, 37, 8]
    fine, coarse = conv(x, (3, 3, 8, 8), 2, scale=True), conv(x, (5, 5, 8, 8), 2, scale=False)
    x = conv(builder.concat([fine, coarse]), (3, 3, 16, 14), 2, scale=True)  # [1, 10, 10, 14]
    x = conv(x, (1, 1, 14, BOTTLENECK_SIZE), 1, scale=False)
    return builder.finish(x, size=10, classes=2)


def full_size_inception_graph(seed: int = 0) -> GraphDef:
    """As large and as slow as the archive's graph (96 MB unpacked): InceptionV3 with random weights."""
    return graph_of_keras_inception(random_keras_inception(seed))


def random_keras_inception(seed: int = 0) -> tf.keras.Model:
    """InceptionV3 without its classifier: float32 [N, 299, 299, 3] → [N, 8, 8, 2048]."""
    rng = np.random.default_rng(seed)
    model = tf.keras.applications.InceptionV3(include_top=False, weights=None)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.Conv2D):
            layer.set_weights([random_kernel(rng, layer.kernel.shape)])
        elif isinstance(layer, tf.keras.layers.BatchNormalization):
            mean, variance, beta, _ = random_batch_norm(rng, layer.beta.shape[0])
            layer.set_weights([beta, mean, variance])
    return model


def graph_of_keras_inception(model: tf.keras.Model) -> GraphDef:
    """Return the model in the archive's form; `pool_3:0` is the mean of the model's output over its 8×8 pixels."""
    builder = _GraphBuilder()
    nodes = {model.input.name: builder.image_input()}
    for layer in model.layers[1:]:
        sources = [nodes[tensor.name] for tensor in tf.nest.flatten(layer.input)]
        nodes[layer.output.name] = _add_layer(builder, layer, sources)
    return builder.finish(nodes[model.output.name], size=8, classes=1008)  # as many as the archive's


def _add_layer(builder: "_GraphBuilder", layer: tf.keras.layers.Layer, sources: Sequence[str]) -> str:
    if isinstance(layer, tf.keras.layers.Concatenate):
        return builder.concat(sources)
    (source,) = sources
    if isinstance(layer, tf.keras.layers.Conv2D):
        return builder.conv(source, layer.kernel.numpy(), layer.strides[0], layer.padding.upper())
    if isinstance(layer, tf.keras.layers.BatchNormalization):
        beta, mean, variance = layer.get_weights()
        return builder.batch_norm(source, np.stack([mean, variance, beta, np.ones_like(beta)]), scale=False)
    if isinstance(layer, tf.keras.layers.Activation):
        return builder.relu(source)
    op = "MaxPool" if isinstance(layer, tf.keras.layers.MaxPooling2D) else "AvgPool"
    return builder.pool(op, source, layer.pool_size[0], layer.strides[0], layer.padding.upper())


def random_kernel(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Return a kernel, float32 [height, width, in, out], that keeps activations level, and images apart, at depth.

    Filters sum to zero: what inputs share cancels, or deep layers would give all images the same values.
    Behind a ReLU such a filter needs variance 2π / (π - 1) = 2.9 over its inputs to keep the scale; 2.5 is
    less by what the betas add. On photos the bottlenecks then have mean 0.2 to 0.3 and stay below 3.
    """
    kernel = rng.normal(0, math.sqrt(2.5 / math.prod(shape[:3])), shape)
    return np.asarray(kernel - kernel.mean(axis=(0, 1, 2)), np.float32)


def random_batch_norm(rng: np.random.Generator, channels: int) -> np.ndarray:
    """Rows as in `BATCH_NORM_INPUTS`, float32 [4, channels]: all matter, but shift and scale only mildly."""
    mean, beta = rng.normal(0, 0.2, (2, channels))
    variance, gamma = rng.uniform(0.7, 1.4, (2, channels))
    return np.stack([mean, variance, beta, gamma]).astype(np.float32)


class _GraphBuilder:
    """Adds nodes to `graph`; a method returns the name of the node that holds its result."""

    def __init__(self) -> None:
        self.graph = GraphDef()
        self.graph.versions.producer = 8  # the archive's; its batch normalisation runs in no later version
        self._uses: Counter[str] = Counter()

    def node(self, op: str, name: str, inputs: Sequence[str] = (), **attrs: Any) -> str:
        node = self.graph.node.add(op=op, name=name, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(_attribute(value))
        return name

    def const(self, name: str, value: Any, dtype: tf.DType = tf.float32) -> str:
        tensor = TensorProto.FromString(tf.make_tensor_proto(value, dtype).SerializeToString())
        return self.node("Const", name, dtype=dtype, value=tensor)

    def image_input(self) -> str:
        """JPEG bytes, string [] → `Mul`, float32 [1, 299, 299, 3], pixels as `(value - 128) / 128`."""
        contents = self.const("DecodeJpeg/contents", b"", tf.string)
        x = self.node("DecodeJpeg", "DecodeJpeg", [contents], channels=3)
        x = self.node("Cast", "Cast", [x], SrcT=tf.uint8, DstT=tf.float32)
        axis = self.const("ExpandDims/dim", 0, tf.int32)
        x = self.node("ExpandDims", "ExpandDims", [x, axis], T=tf.float32)
        size = self.const("ResizeBilinear/size", [299, 299], tf.int32)
        x = self.node("ResizeBilinear", "ResizeBilinear", [x, size], T=tf.float32)
        x = self.node("Sub", "Sub", [x, self.const("Sub/y", 128.0)], T=tf.float32)
        return self.node("Mul", "Mul", [x, self.const("Mul/y", 1 / 128)], T=tf.float32)

    def conv(self, source: str, kernel: np.ndarray, stride: int, padding: str) -> str:
        scope = self._unique("conv")
        inputs = [source, self.const(f"{scope}/conv2d_params", kernel)]
        strides = [1, stride, stride, 1]
        return self.node("Conv2D", f"{scope}/Conv2D", inputs, T=tf.float32, strides=strides, padding=padding)

    def batch_norm(self, source: str, norm: np.ndarray, scale: bool) -> str:
        name = f"{source.rpartition('/')[0]}/batchnorm"
        inputs = [source, *(self.const(f"{name}/{key}", norm[i]) for i, key in enumerate(BATCH_NORM_INPUTS))]
        attrs = {"variance_epsilon": 0.001, "scale_after_normalization": scale}  # as in Keras
        return self.node("BatchNormWithGlobalNormalization", name, inputs, T=tf.float32, **attrs)

    def relu(self, source: str) -> str:
        """As in the archive, it has its scope's bare name and waits for a check that its input is finite."""
        scope = source.rpartition("/")[0]
        check = self.node("CheckNumerics", f"{scope}/CheckNumerics", [source], T=tf.float32, message=scope)
        checked = self.node("Identity", f"{scope}/control_dependency", [source, f"^{check}"], T=tf.float32)
        return self.node("Relu", scope, [checked], T=tf.float32)

    def pool(self, op: str, source: str, size: int, stride: int, padding: str, name: str = "") -> str:
        window = {"ksize": [1, size, size, 1], "strides": [1, stride, stride, 1], "padding": padding}
        return self.node(op, name or self._unique("tower/pool"), [source], T=tf.float32, **window)

    def concat(self, sources: Sequence[str]) -> str:
        name = f"{self._unique('mixed')}/join"
        axis = self.const(f"{name}/concat_dim", 3, tf.int32)
        return self.node("Concat", name, [axis, *sources], T=tf.float32, N=len(sources))

    def finish(self, source: str, size: int, classes: int) -> GraphDef:
        """[N, size, size, 2048] → `pool_3` [N, 1, 1, 2048] → `pool_3/_reshape` [1, 2048] → `softmax`."""
        x = self.pool("AvgPool", source, size, 1, "VALID", name="pool_3")
        shape = self.const("pool_3/_reshape/shape", [1, BOTTLENECK_SIZE], tf.int32)
        x = self.node("Reshape", "pool_3/_reshape", [x, shape], T=tf.float32)
        weights = self.const("softmax/weights", np.zeros((BOTTLENECK_SIZE, classes)))
        x = self.node("MatMul", "softmax/logits/MatMul", [x, weights], T=tf.float32)
        bias = self.const("softmax/biases", np.zeros(classes))
        x = self.node("BiasAdd", "softmax/logits", [x, bias], T=tf.float32)
        self.node("Softmax", "softmax", [x], T=tf.float32)
        return self.graph

    def _unique(self, name: str) -> str:
        """`name`, and from the second use on `name_1`, `name_2`, …"""
        self._uses[name] += 1
        return name if self._uses[name] == 1 else f"{name}_{self._uses[name] - 1}"


def _attribute(value: Any) -> AttrValue:
    if isinstance(value, list):
        return AttrValue(list=AttrValue.ListValue(i=value))
    if isinstance(value, tf.DType):
        return AttrValue(type=value.as_datatype_enum)
    value = value.encode() if isinstance(value, str) else value
    fields = {bool: "b", int: "i", float: "f", bytes: "s"}
    return AttrValue(**{fields.get(type(value), "tensor"): value})


def run_in_v1_session(graph_def: GraphDef, feeds: Mapping[str, Any], fetch: str) -> np.ndarray:
    """Return the value of the tensor `fetch`, as TensorFlow 1 programs get it: the graph unchanged, in a Session."""
    own = tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString())
    with tf.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(own, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return np.asarray(session.run(fetch, dict(feeds)))


def write_inception_archive(folder: Path, graph: GraphDef) -> Path:
    """Write `graph` into `folder` as the archive that is downloaded. Return the archive's path."""
    path = folder / ARCHIVE
    members = {"LICENSE": b"A stand-in for tests, free to use.\n", GRAPH_FILE: graph.SerializeToString()}
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:  # random weights compress no better at 9
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


class FolderServer(NamedTuple):
    """A running server: its address with a slash at the end, and the path of every GET and HEAD so far."""

    url: str
    requests: list[str]


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[FolderServer]:
    """Serve the files of `folder` over HTTP on 127.0.0.1, on a free port, until the block ends."""
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def send_head(self) -> Any:
            requests.append(self.path)
            return super().send_head()

        def log_message(self, format: str, *args: Any) -> None:
            """Print no access log."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield FolderServer(f"http://127.0.0.1:{server.server_port}/", requests)
        finally:
            server.shutdown()
            thread.join()
