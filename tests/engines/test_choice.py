"""The choice of the engine: converted once, compared with TensorFlow, and the faster one remembered."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from retrain.backbones.load import load_network
from retrain.data.decode import image_from_file
from retrain.engines import choice
from retrain.engines.choice import Work, converted, network_function
from retrain.engines.conversion import convert
from retrain.engines.litert import LitertNetwork
from retrain.engines.part import NetworkPart
from retrain.engines.store import VARIABLE, Conversion, ConversionStore, Record
from retrain.errors import FlagError
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.input_spec import InputSpec
from retrain.options.engine import AUTO, LITERT, TENSORFLOW
from retrain.options.network import NetworkOptions
from retrain.process.timing import processor_name
from tests.support.commands import read_bottleneck
from tests.support.graphs import Nodes
from tests.support.pictures import noise
from tests.support.small_network import FEED, FETCH, SIZE, small_network

PART = NetworkPart(small_network(), FEED, FETCH, InputSpec(SIZE, SIZE, 127.5, 127.5))
IMAGES = np.random.default_rng(0).normal(size=(5, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConversionStore:
    """Return the store that is used: an empty one."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return ConversionStore()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    paths = [tmp_path / f"{seed}.png" for seed in range(20)]
    for seed, path in enumerate(paths):
        Image.fromarray(noise(9, 8, seed)).save(path)
    (tmp_path / "text.jpg").write_bytes(b"some text")
    return Work([str(tmp_path / "text.jpg"), *map(str, paths)])


def kind_of(part: NetworkPart, engine: str = AUTO, work: Work | None = None) -> str:
    function = network_function(part, engine, work)
    expected = network_function(part, TENSORFLOW)(IMAGES)
    np.testing.assert_allclose(function(IMAGES), expected, rtol=0, atol=1e-5)
    return LITERT if isinstance(function, LitertNetwork) else TENSORFLOW


def record_of(store: ConversionStore) -> Record:
    found = store.read(PART.digest)
    assert found is not None
    return found.record


def remember(store: ConversionStore, **changes: object) -> None:
    found = store.read(PART.digest)
    assert found is not None
    store.write(PART.digest, Conversion(dataclasses.replace(found.record, **changes), found.flatbuffer))  # type: ignore[arg-type]


def test_the_first_use_converts_and_the_next_ones_do_not(store: ConversionStore, work: Work, logged: list[str]) -> None:
    assert converted(PART) is None
    network_function(PART, AUTO, work)
    assert logged[0] == "DEBUG: Converting the network for LiteRT, once."
    n_lines = len(logged)
    record = record_of(store)
    assert (record.problem, record.machine) == ("", processor_name())
    assert min(record.litert, record.tensorflow, record.loading) > 0
    assert kind_of(PART, LITERT, work) == LITERT
    assert len(logged) == n_lines


def test_without_photos_nothing_is_converted_unless_it_was_asked_for(store: ConversionStore) -> None:
    assert kind_of(PART) == TENSORFLOW
    assert kind_of(PART, AUTO, Work(["/nowhere.jpg"])) == TENSORFLOW
    assert not store.folder.exists()
    assert kind_of(PART, LITERT) == LITERT
    assert record_of(store).problem == ""


def test_tensorflow_can_be_asked_for(store: ConversionStore, work: Work) -> None:
    assert kind_of(PART, TENSORFLOW, work) == TENSORFLOW
    assert not store.folder.exists()


@pytest.mark.parametrize(
    ("litert", "tensorflow", "n_images", "faster"),
    [(0.001, 0.002, 10**6, LITERT), (0.002, 0.001, 10**6, TENSORFLOW), (0.002, 0.002, 10, LITERT), (0.0, 0.001, 10**6, LITERT)],
)
def test_the_engine_that_was_faster_is_used(
    store: ConversionStore, work: Work, litert: float, tensorflow: float, n_images: int, faster: str
) -> None:
    network_function(PART, LITERT, work)
    remember(store, litert=litert, tensorflow=tensorflow)
    assert kind_of(PART, AUTO, Work(n_images=n_images)) == faster
    assert kind_of(PART, LITERT, Work(n_images=n_images)) == LITERT


@pytest.mark.parametrize(("n_images", "faster"), [(1999, LITERT), (2001, TENSORFLOW)])
def test_loading_tensorflow_counts_also_where_it_is_loaded(
    store: ConversionStore, work: Work, n_images: int, faster: str
) -> None:
    """As it is here: a run must use the engine that the next one uses."""
    network_function(PART, LITERT, work)
    remember(store, litert=0.002, tensorflow=0.001, loading=2.0)
    assert kind_of(PART, AUTO, Work(n_images=n_images)) == faster


def test_times_of_another_machine_do_not_count(store: ConversionStore, work: Work) -> None:
    network_function(PART, LITERT, work)
    remember(store, machine="Another processor", litert=9.0, tensorflow=0.001)
    assert kind_of(PART, AUTO, work) == LITERT
    assert record_of(store).machine == "Another processor", "a few images are not worth measuring again"


def test_long_work_is_worth_measuring(store: ConversionStore, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    network_function(PART, LITERT, work)
    remember(store, machine="Another processor", litert=9.0, tensorflow=0.001)
    monkeypatch.setattr(choice, "WORTH_MEASURING_SECONDS", 0.0)
    monkeypatch.setattr(choice, "WORTH_MEASURING_IMAGES", 1)
    kind_of(PART, AUTO, work)
    assert record_of(store).machine == processor_name()
    assert record_of(store).litert < 9.0


def without_lite_operation() -> NetworkPart:
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], "input")
        tf.reduce_mean(
            tf.raw_ops.Betainc(a=tf.abs(image) + 1, b=tf.ones_like(image), x=tf.sigmoid(image)), [1, 2], name="bottleneck"
        )
    return NetworkPart(from_tensorflow(graph.as_graph_def()), "input:0", "bottleneck:0", PART.spec)


def test_a_network_that_litert_cannot_run(store: ConversionStore, work: Work, logged: list[str]) -> None:
    part = without_lite_operation()
    assert kind_of(part, AUTO, work) == TENSORFLOW
    found = store.read(part.digest)
    assert found is not None and found.record.problem.startswith("it cannot be converted (")
    n_lines = len(logged)
    assert kind_of(part, AUTO, work) == TENSORFLOW
    assert len(logged) == n_lines, "it is not tried again"
    with pytest.raises(FlagError) as caught:
        network_function(part, LITERT, work)
    assert str(caught.value) == f"--engine must be auto or tensorflow for this network: {found.record.problem}."


def test_a_conversion_that_differs_is_not_used(store: ConversionStore, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inaccurate conversion: the float16 weights that LiteRT may store, where these need all their digits."""
    original = convert

    def inaccurate(part: NetworkPart) -> bytes:
        def set_up(converter: object) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]  # type: ignore[attr-defined]
            converter.target_spec.supported_types = [tf.float16]  # type: ignore[attr-defined]

        return original(part, set_up)

    monkeypatch.setattr(choice, "convert", inaccurate)
    assert kind_of(PART, AUTO, work) == TENSORFLOW
    assert record_of(store).problem.startswith("its conversion differs from TensorFlow by ")


@pytest.mark.slow
@pytest.mark.parametrize("engine", [LITERT, TENSORFLOW])
def test_both_engines_make_the_originals_bottlenecks(
    engine: str, mobilenet_model_dir: Path, reference_dir: Path, flower_photos: Path
) -> None:
    references = sorted((reference_dir / "bottlenecks").glob("*/*.txt"))
    photos = [flower_photos / path.parent.name / path.name.replace("_mobilenet_0.25_128.txt", "") for path in references]
    options = NetworkOptions(architecture="mobilenet_0.25_128", model_dir=str(mobilenet_model_dir), engine=engine)
    network = load_network(options).with_work(list(map(str, photos)))
    found = network.run(np.stack([image_from_file(str(path), network.architecture.input_spec) for path in photos]))
    assert isinstance(network.run, LitertNetwork) == (engine == LITERT)
    assert len(references) == 30
    for row, path in zip(found, references, strict=True):
        np.testing.assert_allclose(row, read_bottleneck(path), rtol=0, atol=1e-4)


def test_a_store_that_cannot_be_used_leaves_tensorflow(store: ConversionStore, work: Work) -> None:
    store.folder.parent.mkdir(parents=True)
    store.folder.touch()
    assert kind_of(PART, AUTO, work) == TENSORFLOW


def test_a_store_that_others_can_write_to_leaves_tensorflow(store: ConversionStore, work: Work) -> None:
    network_function(PART, LITERT, work)
    store.folder.chmod(0o777)
    assert kind_of(PART, AUTO, work) == TENSORFLOW


def test_a_damaged_conversion_is_made_again(store: ConversionStore, work: Work) -> None:
    network_function(PART, LITERT, work)
    [path] = store.folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-100] + bytes(100))
    assert kind_of(PART, LITERT, work) == LITERT
    found = store.read(PART.digest)
    assert found is not None


def test_a_graph_that_does_not_run_is_the_same_error_as_with_tensorflow(store: ConversionStore, work: Work) -> None:
    nodes = Nodes()
    nodes.placeholder("input", [None, SIZE, SIZE, 3])
    nodes.const("wrong", np.zeros((2, 2), np.float32))
    nodes.add("MatMul", "bottleneck", "input", "wrong")
    part = NetworkPart(nodes.graph, "input:0", "bottleneck:0", InputSpec(SIZE, SIZE, 127.5, 127.5))
    reasons = []
    for engine in (TENSORFLOW, AUTO):
        with pytest.raises(Exception, match=r"MatMul|rank") as caught:
            network_function(part, engine, work)(IMAGES)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    assert not store.folder.exists() or not list(store.folder.iterdir())
