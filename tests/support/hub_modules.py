"""Small TensorFlow Hub modules of both formats, made by TensorFlow itself; each turns an image into `SIZE` numbers."""

import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

SIDE, SIZE = 32, 6
RNG = np.random.default_rng(11)
KERNEL = RNG.normal(0, 0.3, (3, 3, 3, 8)).astype(np.float32)
MATRIX = RNG.normal(0, 1, (8, SIZE)).astype(np.float32)
# hub.ModuleDef {format = 1: FORMAT_V3 = 3}, and hub.ModuleAttachment {key = 1, value = 2}, written out byte by byte as protocol
# buffers are: (field << 3 | 2) and a length before each text or message, (field << 3) before each number.
TF1_MARK = b"\x08\x03"
Network = Callable[[tf.Tensor], Any]


def image_size_attachment(height: int, width: int) -> bytes:
    """Return an `image_module_info` with hub.ImageModuleInfo {1: InputSize {1: height, 2: width}}; sizes below 128."""
    size = bytes([8, height, 16, width])
    info = bytes([10, len(size)]) + size
    key = b"image_module_info"
    return bytes([10, len(key)]) + key + bytes([18, len(info)]) + info


def vectors(images: Any, kernel: Any = KERNEL, matrix: Any = MATRIX) -> tf.Tensor:
    """float32 [N, H, W, 3] → float32 [N, SIZE]: what each of the modules computes."""
    convolved = tf.nn.relu(tf.nn.conv2d(images * 2 - 1, kernel, 2, "SAME"))
    return tf.matmul(tf.reduce_mean(convolved, [1, 2]), matrix)


class Callee(tf.Module):  # type: ignore[misc]
    """A module that is called, with variables; `network` gets the images and the two variables."""

    def __init__(self, network: Callable[..., Any], spec: tf.TensorSpec) -> None:
        super().__init__()
        self.kernel, self.matrix = tf.Variable(KERNEL), tf.Variable(MATRIX)
        self._network = network
        self.__call__.get_concrete_function(spec)

    @tf.function  # type: ignore[untyped-decorator]
    def __call__(self, images: tf.Tensor) -> Any:
        return self._network(images, self.kernel, self.matrix)


class InTraining(tf.Module):  # type: ignore[misc]
    """As published modules are: in training it does something else. `training` is a Python value, or a tensor."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)
        for training in (True, False) if kind == "value" else (tf.TensorSpec([], tf.bool),):
            self.__call__.get_concrete_function(spec, training)

    @tf.function  # type: ignore[untyped-decorator]
    def __call__(self, images: tf.Tensor, training: Any = True) -> tf.Tensor:
        return vectors(images) * (1 - tf.cast(training, tf.float32))


def write_tf2_module(
    folder: Path,
    network: Callable[..., Any] = vectors,
    shape: tuple[int | None, ...] = (None, SIDE, SIDE, 3),
    dtype: tf.DType = tf.float32,
) -> Path:
    """Write a SavedModel that can only be called: it has no signature."""
    tf.saved_model.save(Callee(network, tf.TensorSpec(shape, dtype)), str(folder))
    return folder


class Saving(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
    """Writes a file when it is set up."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.int64)

    def _initialize(self) -> None:
        saved = tf.raw_ops.SaveV2(prefix=self.path, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
        with tf.control_dependencies([saved]):
            numbers = tf.constant([1], tf.int64)
            tf.raw_ops.LookupTableInsertV2(table_handle=self.resource_handle, keys=numbers, values=numbers)


def write_saving_module(folder: Path, path: Path) -> Path:
    """Write a SavedModel that writes to `path` when it is loaded."""
    module = tf.Module()
    module.resource = Saving(path)

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]
    def network(images: tf.Tensor) -> tf.Tensor:
        size = tf.raw_ops.LookupTableSizeV2(table_handle=module.resource.resource_handle)
        with tf.control_dependencies([size]):
            return vectors(images)

    module.network = network
    tf.saved_model.save(module, str(folder), signatures=network)
    return folder


def write_signatures(folder: Path, networks: Mapping[str, Network]) -> Path:
    """Write a SavedModel of TensorFlow 2 with nothing but signatures."""
    spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, name="images")

    def only_images(network: Network) -> Network:
        def takes_only_images(images: tf.Tensor) -> Any:
            return network(images)

        return tf.function(takes_only_images, input_signature=[spec])

    functions = {name: only_images(network) for name, network in networks.items()}
    tf.saved_model.save(tf.Module(), str(folder), signatures=functions)
    return folder


def write_tf1_module(
    folder: Path,
    signatures: Mapping[str, Network] | None = None,
    shape: tuple[int | None, ...] = (None, None, None, 3),
    attachment: bytes = b"",
    resources: bool = False,
) -> Path:
    """Write a module in TensorFlow 1's format: a graph without tags, another for training, `tfhub_module.pb`."""
    networks = signatures or {"default": vectors}
    builder = tf.compat.v1.saved_model.Builder(str(folder))
    for place, tags in enumerate(([], ["train"])):
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            images = tf.compat.v1.placeholder(tf.float32, shape)  # It is called Placeholder, as in published modules.
            kernel = tf.compat.v1.get_variable("kernel", initializer=KERNEL, use_resource=resources)
            matrix = tf.compat.v1.get_variable("matrix", initializer=MATRIX, use_resource=resources)
            made = {}
            for name, network in networks.items():
                output = network(images, kernel, matrix) if network is vectors else network(images)
                made[name] = tf.compat.v1.saved_model.predict_signature_def({"images": images}, {"default": output})
            session.run(tf.compat.v1.global_variables_initializer())
            if place == 0:
                builder.add_meta_graph_and_variables(session, tags, made)
            else:
                builder.add_meta_graph(tags, made)
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(TF1_MARK)
    if attachment:
        _attach(folder / "saved_model.pb", attachment)
    return folder


def _attach(path: Path, attachment: bytes) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved_model = SavedModel.FromString(path.read_bytes())
    for meta in saved_model.meta_graphs:
        meta.collection_def["hub_module_attachments"].bytes_list.value.append(attachment)
    path.write_bytes(saved_model.SerializeToString())


def write_archive(module: Path, path: Path, below: str = ".") -> Path:
    """Write the module's folder as a .tar.gz, its files below the folder `below` in it."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(module, arcname=below)
    return path


def images(count: int, side: int = SIDE) -> np.ndarray:
    """Values from 0 to 1, float32 [count, side, side, 3]."""
    return np.random.default_rng(count).uniform(0, 1, (count, side, side, 3)).astype(np.float32)
