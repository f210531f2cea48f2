"""Choice of the engine that runs a network."""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.data.decode import image_from_file
from retrain.engines.conversion import LARGEST_DIFFERENCE, Comparison, Original, convert, seconds_each
from retrain.engines.litert import LitertNetwork, is_installed
from retrain.engines.part import NetworkPart
from retrain.engines.store import Conversion, ConversionStore, Record, UnusableStoreError, new_conversion
from retrain.errors import FlagError, ImageError
from retrain.graphdef.lite_converter import LiteConversionError
from retrain.graphdef.nodes import tensor_name
from retrain.graphdef.run import batch_function
from retrain.options.engine import AUTO, LITERT, TENSORFLOW
from retrain.process.device import may_use_gpu
from retrain.process.timing import processor_name

logger = logging.getLogger("retrain")

N_COMPARED = 8  # Images that a conversion is compared on.
LARGE_BYTES = 20 << 20  # Of a network whose conversion takes seconds.
USUAL_LOADING_SECONDS = 2.5  # Of TensorFlow, where that was not measured.
# The work from which on it pays to measure the engines of a network that comes with its conversion: images, and seconds.
WORTH_MEASURING_IMAGES, WORTH_MEASURING_SECONDS = 500, 20.0


@dataclass(frozen=True)
class Work:
    """Work that a network is wanted for.

    Attributes:
        paths: image files; a conversion is compared with TensorFlow on some of them.
        n_images: number of images that will be run, as far as it is known; None is the number of files.
        samples: images that stand in for files, float32 [n, H, W, 3]; None if there are only files.
    """

    paths: Sequence[str] = ()
    n_images: int | None = None
    samples: FloatArray | None = None

    @property
    def count(self) -> int:
        """The number of images that will be run."""
        return len(self.paths) if self.n_images is None else self.n_images


def network_function(part: NetworkPart, engine: str = AUTO, work: Work | None = None) -> BatchFunction:
    """Return a network as a function, float32 [N, H, W, 3] → float32 [N, D], run by the engine that suits the work.

    A network that was not converted before is converted now, if there are images to compare the conversion on.

    Args:
        part: the network.
        engine: `auto`, `litert` or `tensorflow`.
        work: what it is wanted for.

    Raises:
        FlagError: `litert` was asked for, and LiteRT cannot run the network, or is not installed.
        GraphError: TensorFlow cannot run the network either.
    """
    work = work or Work()
    if engine == TENSORFLOW or (engine == AUTO and (may_use_gpu() or not is_installed())):
        return _tensorflow(part)
    if not is_installed():
        raise FlagError(f"--engine must be {AUTO} or {TENSORFLOW}: LiteRT is not installed (pip install ai-edge-litert).")
    store = ConversionStore()
    conversion = _known(part, store) or _made(part, store, _images(part, work, any_will_do=engine == LITERT))
    if engine == LITERT and conversion and conversion.record.problem:
        raise FlagError(f"--engine must be {AUTO} or {TENSORFLOW} for this network: {conversion.record.problem}.")
    if conversion is None or conversion.record.problem:
        return _tensorflow(part)
    network = LitertNetwork(conversion.flatbuffer)
    if engine == AUTO and _tensorflow_is_faster(_timed(part, conversion, network, work), work):
        return _tensorflow(part)
    return network


def converted(part: NetworkPart) -> LitertNetwork | None:
    """Return the network as LiteRT runs it, if it was converted before; else None."""
    if not is_installed():
        return None
    conversion = _known(part, ConversionStore())
    return LitertNetwork(conversion.flatbuffer) if conversion and not conversion.record.problem else None


def _tensorflow(part: NetworkPart) -> BatchFunction:
    function = batch_function(part.graph_def, part.input_tensor, tensor_name(part.output_tensor))
    return lambda images: function(images).reshape(len(images), -1)


def _known(part: NetworkPart, store: ConversionStore) -> Conversion | None:
    return store.read(part.digest) or store.shipped(part.digest)


def _made(part: NetworkPart, store: ConversionStore, images: FloatArray) -> Conversion | None:
    """Convert a network, compare the conversion, and keep it. Return None if there is no image to compare it on."""
    if not len(images):
        return None
    try:
        store.prepare()
    except UnusableStoreError as error:
        logger.debug("The network is not converted: %s.", error)
        return None
    conversion = _compared(part, images)
    try:
        store.write(part.digest, conversion)
    except UnusableStoreError as error:
        logger.debug("The conversion is not kept: %s.", error)
    return conversion


def _compared(part: NetworkPart, images: FloatArray) -> Conversion:
    import importlib.metadata

    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in ("ai-edge-litert", "tensorflow"))
    original = Original(part, images)  # First: a graph that does not run at all must not reach the converter.
    level = logging.INFO if part.cut.ByteSize() > LARGE_BYTES else logging.DEBUG
    logger.log(level, "Converting the network for LiteRT, once.")
    try:
        flatbuffer = convert(part)
        found = original.compare(LitertNetwork(flatbuffer))
    except LiteConversionError as error:
        return new_conversion(b"", Record(problem=f"it cannot be converted ({error})", versions=versions))
    except (RuntimeError, ValueError) as error:
        return new_conversion(b"", Record(problem=f"LiteRT cannot run it ({str(error)[:200]})", versions=versions))
    logger.debug(
        "Converted for LiteRT: largest difference %.1e of the largest value; %.2f ms an image, TensorFlow %.2f ms.",
        found.difference,
        1000 * found.litert,
        1000 * found.tensorflow,
    )
    if not found.agrees:
        problem = f"its conversion differs from TensorFlow by {found.difference:.1e}, more than {LARGEST_DIFFERENCE:.0e}"
        return new_conversion(b"", Record(problem=problem, versions=versions))
    return new_conversion(flatbuffer, _with_times(Record(versions=versions), found))


def _with_times(record: Record, found: Comparison) -> Record:
    return dataclasses.replace(
        record,
        machine=processor_name(),
        litert=found.litert,
        tensorflow=found.tensorflow,
        loading=found.loading or USUAL_LOADING_SECONDS,
    )


def _timed(part: NetworkPart, conversion: Conversion, network: LitertNetwork, work: Work) -> Record:
    """Return the record with the times of this machine; they are measured if they are not known and the work is long."""
    record = conversion.record
    if (record.litert and record.machine == processor_name()) or work.count < WORTH_MEASURING_IMAGES:
        return record
    images = _images(part, work, any_will_do=False)
    if not len(images) or work.count * seconds_each(network, images[:2]) < WORTH_MEASURING_SECONDS:
        return record
    record = _with_times(record, Original(part, images).compare(network))
    with contextlib.suppress(UnusableStoreError):
        ConversionStore().write(part.digest, Conversion(record, conversion.flatbuffer))
    return record


def _tensorflow_is_faster(record: Record, work: Work) -> bool:
    """Return True if TensorFlow would be done sooner, the time to load it included.

    That counts even if it is loaded already: the same work is to be done by the same engine in each run, bit for bit.
    """
    if not record.litert or record.machine != processor_name():
        return False
    return record.loading + work.count * record.tensorflow < work.count * record.litert


def _images(part: NetworkPart, work: Work, any_will_do: bool) -> FloatArray:
    """Return a few of the work's images, float32 [n, H, W, 3]; without any, noise if that will do."""
    if work.samples is not None and len(work.samples):
        return work.samples[:N_COMPARED]
    images = []
    for index in np.unique(np.linspace(0, len(work.paths) - 1, min(N_COMPARED, len(work.paths))).astype(int)):
        try:
            images.append(image_from_file(work.paths[index], part.spec))
        except ImageError:
            continue  # It is reported by whoever needs it.
    if not images and any_will_do:
        shape = (N_COMPARED, part.spec.height, part.spec.width, 3)
        levels = np.random.default_rng(0).uniform(0, 255, shape)
        return ((levels - part.spec.mean) / part.spec.std).astype(np.float32)
    return np.stack(images) if images else np.empty((0, part.spec.height, part.spec.width, 3), np.float32)
