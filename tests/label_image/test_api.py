"""`label_image.load`: the same answers as the command's, for images of every kind and classifiers of every kind."""

import dataclasses
import io
import itertools
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import label_image
from label_image.api import ImageInput
from label_image.config import ClassifierOptions
from retrain.data.loader import BATCHES_AHEAD, MAX_BATCH_SIZE
from retrain.errors import FlagError, GraphError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.run import read_graph
from retrain.options.flags import flags_of
from tests.conftest import ROOT, SMALL_CLASSES, Label, draw_photo
from tests.support.exported import FORMATS, HAS_ONNX, Exported
from tests.support.pictures import Pixels, encoded, noise, soft

KERAS = ("keras", "h5")
KINDS = ("graph", "saved_model", *FORMATS, *KERAS)
N_PICTURES = 20
Classified = label_image.Classification


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Draw 20 PNG files of several sizes: what Pillow reads of them is what `label_image` does."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(N_PICTURES):
        size = (48 + 7 * number, 150 - 5 * number)
        draw_photo(list(SMALL_CLASSES)[number % 3], number).resize(size).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def model(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a kind of model to the path of one."""

    def path(kind: str) -> Path:
        if kind in KERAS:
            return write_keras_model(tmp_path_factory.mktemp(kind), kind)
        return exported.graph if kind == "graph" else exported.path(kind)

    return path


@pytest.fixture(scope="module")
def classifier(exported: Exported) -> "label_image.ImageClassifier":
    return label_image.load(exported.graph)


def write_keras_model(folder: Path, ending: str) -> Path:
    import keras

    keras.utils.set_random_seed(5)
    layers = [
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=2)),
    ]
    keras.Sequential([keras.Input((24, 24, 3)), *layers]).save(folder / f"model.{ending}")
    (folder / "labels.txt").write_text("cat\ndog\nno animal\n")
    return folder / f"model.{ending}"


def pixels_of(path: Path) -> Pixels:
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def answers_of(command: Label, graph: Path, paths: list[Path], *flags: str) -> list[dict[str, Any]]:
    """Return what the command prints for some images."""
    done = command("--graph", graph, "--output_format=json", *flags, "--image", *paths)
    assert (done.code, done.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def assert_same(found: list[Classified], expected: list[dict[str, Any]]) -> None:
    """Assert that answers are those of the command, but for the path."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        scores = {each["label"]: each["score"] for each in other["predictions"]}
        assert dict(zip(one.labels, one.scores, strict=True)) == pytest.approx(scores, abs=1e-6)
        assert list(one.scores) == sorted(one.scores, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_classifier_answers_as_the_command_does(
    kind: str, model: Callable[[str], Path], pictures: list[Path], label: Label
) -> None:
    graph = model(kind)
    loaded = label_image.load(graph)
    expected = answers_of(label, graph, pictures)
    by_path = loaded.predict(pictures)
    assert [each.path for each in by_path] == [str(path) for path in pictures] == [each["image"] for each in expected]
    assert_same(by_path, expected)
    assert_same(loaded.predict([pixels_of(path) for path in pictures]), expected)
    assert_same([loaded.predict(pixels_of(path)) for path in pictures], expected)
    assert len({each.scores for each in by_path}) > N_PICTURES / 2  # Those of int8 are coarse.


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_at_once_get_the_same_answers(kind: str, model: Callable[[str], Path], pictures: list[Path]) -> None:
    loaded = label_image.load(model(kind))
    expected = [each.to_dict() for each in label_image.load(model(kind)).predict(pictures)]
    wrong: list[str] = []

    def work(number: int) -> None:
        try:
            for _ in range(3):  # Batches of other sizes in each thread, and single images.
                assert_same(loaded.predict(pictures[: number + 3]), expected[: number + 3])
                assert_same([loaded.predict(pictures[number])], expected[number : number + 1])
        except BaseException as error:  # noqa: BLE001 - A thread's errors are lost.
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FORMS: dict[str, Callable[[Path], ImageInput]] = {
    "text": str,
    "path": lambda path: path,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "image": PIL.Image.open,
    "array": pixels_of,
    "turned view of an array": lambda path: np.ascontiguousarray(pixels_of(path)[:, ::-1])[:, ::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image(form: str, classifier: label_image.ImageClassifier, pictures: list[Path], label: Label) -> None:
    expected = answers_of(label, Path(classifier.path), pictures[:1])
    found = classifier.predict(FORMS[form](pictures[0]))
    assert_same([found], expected)
    assert found.path == (str(pictures[0]) if form in ("text", "path") else None)
    together = [FORMS[form](path) for path in pictures[:4]]
    expected = answers_of(label, Path(classifier.path), pictures[:4])
    assert_same(classifier.predict(together), expected)
    assert_same(classifier.predict(tuple(together)), expected)
    assert_same(list(classifier.predict(iter(together))), expected)


def test_a_list_may_mix_the_forms(classifier: label_image.ImageClassifier, pictures: list[Path], label: Label) -> None:
    images = [form(path) for form, path in zip(FORMS.values(), pictures, strict=False)]
    found = classifier.predict(images)
    assert_same(found, answers_of(label, Path(classifier.path), pictures[: len(FORMS)]))
    assert [each.path for each in found] == [str(pictures[0]), str(pictures[1]), *[None] * (len(FORMS) - 2)]


def test_no_images_have_no_answers(classifier: label_image.ImageClassifier) -> None:
    assert classifier.predict([]) == []
    assert list(classifier.predict(iter(()))) == []


def test_the_answer(classifier: label_image.ImageClassifier, pictures: list[Path], label: Label) -> None:
    found = classifier.predict(pictures[0], top_k=2)
    assert classifier.predict(pictures[0], top_k=np.int64(2)).labels == found.labels  # type: ignore[call-overload]
    assert len(found.labels) == len(found.scores) == 2
    assert (found.label, found.score) == (found.labels[0], found.scores[0])
    assert set(found.labels) < set(classifier.labels)
    assert found.to_dict() == json.loads(json.dumps(found.to_dict()))
    assert_same([found], answers_of(label, Path(classifier.path), pictures[:1], "--top_k=2"))
    assert list(found.to_dict()) == ["image", "predictions"]
    assert dataclasses.replace(found, seconds=7.0) == found  # Times are no part of an answer.
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.path = "other"  # type: ignore[misc]


def test_the_classifier(classifier: label_image.ImageClassifier, exported: Exported) -> None:
    assert classifier.labels == ("daisy", "roses", "tulips")
    assert classifier.input_size == (128, 128)
    assert classifier.path == str(exported.graph)
    assert repr(classifier) == f"<ImageClassifier {exported.graph}: 3 labels, input 128 × 128 pixels>"


def test_the_names_of_the_package() -> None:
    assert dir(label_image) == ["Classification", "ImageClassifier", "ImageError", "RetrainError", "load"]
    assert sorted(label_image.__all__) == dir(label_image)
    assert all(getattr(label_image, name).__name__ == name for name in dir(label_image))
    with pytest.raises(AttributeError, match=r"^module 'label_image' has no attribute 'predict'$"):
        label_image.predict  # noqa: B018


def test_options_are_those_of_the_command(exported: Exported, pictures: list[Path], tmp_path: Path, label: Label) -> None:
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    loaded = label_image.load(exported.graph, input_mean=0, input_std=255.0, labels=tmp_path / "words.txt")
    flags = ("--input_mean=0", "--input_std=255", f"--labels={tmp_path / 'words.txt'}")
    assert loaded.labels == ("a", "b", "c")
    assert_same(loaded.predict(pictures), answers_of(label, exported.graph, pictures, *flags))


def test_a_wrong_option_is_named(exported: Exported) -> None:
    with pytest.raises(TypeError) as caught:
        label_image.load(exported.graph, input_men=0)
    assert str(caught.value) == "load() has no option input_men. Did you mean input_mean?"
    for path in (None, b"flowers.pb", 3):
        with pytest.raises(TypeError) as caught:
            label_image.load(path)  # type: ignore[arg-type]
        assert str(caught.value) == f"load() takes the path of a model. Got {path!r}."
    assert "input_mean: float | None = None" in (label_image.load.__doc__ or "")
    with pytest.raises(TypeError) as caught:
        label_image.load(exported.graph, colour="red", input_men=0)
    names = ", ".join(flags_of(ClassifierOptions))
    assert str(caught.value) == f"load() has no option colour, input_men. The options are: {names}."
    with pytest.raises(FlagError, match=r"^--input_std must be a number in \(0, inf\)\. Got -1\.$"):
        label_image.load(exported.graph, input_std=-1)
    with pytest.raises(GraphError, match=r"^The graph /nowhere/graph\.pb cannot be read \(No such file or directory\)\.$"):
        label_image.load("/nowhere/graph.pb")
    with pytest.raises(FlagError, match=r"^--input_height must be 128, the height of the input layer input\. Got 64\.$"):
        label_image.load(exported.graph, input_height=64)


def test_labels_that_do_not_fit_are_an_error(exported: Exported, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("a\nb\n")
    with pytest.raises(GraphError, match=r"^The number of labels must be 3, as many as the output final_result:0 has scores\."):
        label_image.load(exported.graph, labels=str(tmp_path / "two.txt")).predict(pictures[0])


def test_a_tilde_is_the_home_folder(
    exported: Exported, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(exported.graph, tmp_path / "graph.pb")
    shutil.copy(pictures[0], tmp_path / "photo.png")
    found = label_image.load("~/graph.pb").predict("~/photo.png")
    assert found.path == str(tmp_path / "photo.png")


class TestBadImages:
    """Images that cannot be decoded, and values that are no images."""

    @pytest.fixture
    def text(self, tmp_path: Path) -> Path:
        (tmp_path / "text.jpg").write_text("some text")
        return tmp_path / "text.jpg"

    def test_a_file(self, classifier: label_image.ImageClassifier, text: Path, label: Label) -> None:
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict(text)
        assert str(caught.value) == f"{text} cannot be labelled: it is no image in a known format"
        assert label("--graph", classifier.path, "--image", text).err == f"error: {caught.value}\n"
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict("/nowhere.jpg")
        assert str(caught.value) == "/nowhere.jpg cannot be labelled: No such file or directory"
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict(text.parent)
        assert str(caught.value) == f"{text.parent} cannot be labelled: Is a directory"

    def test_images_in_memory(self, classifier: label_image.ImageClassifier, pictures: list[Path]) -> None:
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict(b"")
        assert str(caught.value) == "The image cannot be labelled: the file is empty"
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict(PIL.Image.new("F", (4, 4)))
        assert str(caught.value) == "The image cannot be labelled: the range of its grey levels is not known"
        with pytest.raises(label_image.ImageError) as caught:
            classifier.predict([pictures[0], b"some text", b""])
        assert str(caught.value) == "The image at index 1 cannot be labelled: it is no image in a known format"

    def test_they_can_be_left_out(
        self, classifier: label_image.ImageClassifier, pictures: list[Path], text: Path, logged: list[str]
    ) -> None:
        images: list[ImageInput] = [text, *pictures[:2], b"", *pictures[2:4], text]
        expected = [None, *classifier.predict(pictures[:2]), None, *classifier.predict(pictures[2:4]), None]
        for found in (classifier.predict(images, on_error="none"), list(classifier.predict(iter(images), on_error="none"))):
            assert [each and each.path for each in found] == [each and each.path for each in expected]
            assert_same([each for each in found if each], [each.to_dict() for each in expected if each])
        warning = f"WARNING: {text} cannot be labelled: it is no image in a known format"
        one = [warning, "WARNING: The image at index 3 cannot be labelled: the file is empty", warning]
        assert [line for line in logged if line.startswith("WARNING")] == one * 2
        assert classifier.predict(text, on_error="none") is None
        assert classifier.predict([text], on_error="none") == [None]

    def test_many_bad_ones_in_a_row(self, classifier: label_image.ImageClassifier, pictures: list[Path], text: Path) -> None:
        """Whole batches without an answer."""
        images = [*[text] * 200, pictures[0], *[text] * 100]
        for found in (classifier.predict(images, on_error="none"), list(classifier.predict(iter(images), on_error="none"))):
            assert [index for index, each in enumerate(found) if each] == [200]
            assert len(found) == 301

    def test_of_an_iterator_the_answers_before_it_come_first(
        self, classifier: label_image.ImageClassifier, pictures: list[Path], text: Path
    ) -> None:
        answers = classifier.predict(iter([*pictures[:3], text, pictures[3]]))
        assert [next(answers).path for _ in range(3)] == [str(path) for path in pictures[:3]]
        with pytest.raises(label_image.ImageError, match=r"text\.jpg cannot be labelled"):
            next(answers)

    @pytest.mark.parametrize(
        ("value", "kind", "got"),
        [
            (np.zeros((4, 4, 3), np.float32), TypeError, "Got float32 [4, 4, 3]."),
            (np.zeros((4, 4, 3), bool), TypeError, "Got bool [4, 4, 3]."),
            (np.array(["a.jpg"]), TypeError, "Got <U5 [1]."),
            (np.zeros((4, 4), np.uint8), ValueError, "Got uint8 [4, 4]."),
            (np.zeros((4, 4, 4), np.uint8), ValueError, "Got uint8 [4, 4, 4]."),
            (np.zeros((0, 4, 3), np.uint8), ValueError, "Got uint8 [0, 4, 3]."),
            (np.zeros((2, 4, 4, 3), np.uint8), ValueError, "Got uint8 [2, 4, 4, 3]. For several images, use list(array)."),
            (None, TypeError, "Got NoneType."),
            (7, TypeError, "Got int."),
            (io.BytesIO(b"some text"), TypeError, "Got BytesIO: read it first, file.read()."),
        ],
    )
    def test_values_that_are_no_images(
        self, value: Any, kind: type[Exception], got: str, classifier: label_image.ImageClassifier, pictures: list[Path]
    ) -> None:
        must = "must be a path, bytes, an image of Pillow's, or an array, uint8 [height, width, 3] of red, green and blue."
        with pytest.raises(kind) as caught:
            classifier.predict(value)
        assert str(caught.value) == f"The image {must} {got}"
        with pytest.raises(kind) as caught:
            classifier.predict([pictures[0], value], on_error="none")
        assert str(caught.value) == f"The image at index 1 {must} {got}"
        answers = classifier.predict(iter([pictures[0], value]))
        assert next(answers).path == str(pictures[0])
        with pytest.raises(kind) as caught:
            next(answers)
        assert str(caught.value) == f"The image at index 1 {must} {got}"

    def test_wrong_arguments(self, classifier: label_image.ImageClassifier, pictures: list[Path]) -> None:
        with pytest.raises(ValueError, match=r"^top_k must be an integer of at least 1\. Got 0\.$"):
            classifier.predict(iter(pictures), top_k=0)
        with pytest.raises(ValueError, match=r"^on_error must be 'raise' or 'none'\. Got 'skip'\.$"):
            classifier.predict(pictures[0], on_error="skip")  # type: ignore[call-overload]


class TestIterators:
    """Images that are drawn as the answers are read."""

    def test_images_are_drawn_a_few_batches_ahead(self, classifier: label_image.ImageClassifier, pictures: list[Path]) -> None:
        drawn: list[Path] = []

        def endless() -> Iterator[Path]:
            for path in itertools.cycle(pictures):
                drawn.append(path)
                yield path

        answers = classifier.predict(endless())
        assert drawn == []
        first = [next(answers) for _ in range(70)]
        assert [each.path for each in first] == [str(path) for path in itertools.islice(itertools.cycle(pictures), 70)]
        assert len(drawn) <= (BATCHES_AHEAD + 2) * MAX_BATCH_SIZE

    def test_frames_in_one_array(self, classifier: label_image.ImageClassifier) -> None:
        """As a camera delivers them: each frame replaces the one before it."""
        frames = [noise(30, 40, seed) for seed in range(10)]
        camera = np.zeros((30, 40, 3), np.uint8)

        def delivered() -> Iterator[Pixels]:
            for frame in frames:
                camera[...] = frame
                yield camera

        assert_same(list(classifier.predict(delivered())), [each.to_dict() for each in classifier.predict(frames)])

    def test_an_error_of_the_iterator_is_raised_after_the_answers(
        self, classifier: label_image.ImageClassifier, pictures: list[Path]
    ) -> None:
        def broken() -> Iterator[Path]:
            yield from pictures
            raise ValueError("the disk was unplugged")

        answers = classifier.predict(broken())
        assert [next(answers).path for _ in pictures] == [str(path) for path in pictures]
        with pytest.raises(ValueError, match=r"^the disk was unplugged$"):
            next(answers)


class TestOrientationAndScale:
    """Photos that are stored turned, and large ones."""

    @staticmethod
    def turned(orientation: int = 6) -> bytes:
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        return encoded(soft(60, 90), "PNG", exif=exif)

    @pytest.mark.parametrize("setting", ["ignore", "apply"])
    def test_an_images_orientation(self, setting: str, exported: Exported, tmp_path: Path, label: Label) -> None:
        loaded = label_image.load(exported.graph, exif_orientation=setting)
        (tmp_path / "turned.png").write_bytes(self.turned())
        done = label(
            "--graph", exported.graph, "--output_format=json", f"--exif_orientation={setting}", "--image", tmp_path / "turned.png"
        )
        expected = json.loads(done.out)
        assert_same([loaded.predict(PIL.Image.open(tmp_path / "turned.png"))], expected)
        assert_same([loaded.predict(self.turned())], expected)
        upright = loaded.predict(np.ascontiguousarray(np.rot90(soft(60, 90), -1)))
        assert (upright.scores == pytest.approx(loaded.predict(self.turned()).scores, abs=1e-6)) == (setting == "apply")

    def test_a_warning_about_it_comes_once(self, exported: Exported, logged: list[str]) -> None:
        loaded = label_image.load(exported.graph, exif_orientation="ignore")
        for _ in range(3):
            loaded.predict(self.turned())
        assert [line.partition(".")[0] for line in logged if line.startswith("WARNING")] == [
            "WARNING: Of 1 photo, 1 has an EXIF orientation, which says how to turn the stored picture upright"
        ]

    def test_a_nearly_black_image_is_named(
        self, classifier: label_image.ImageClassifier, tmp_path: Path, logged: list[str]
    ) -> None:
        dark = PIL.Image.fromarray(np.linspace(0, 4095, 1200).astype(np.uint16).reshape(30, 40))
        dark.save(tmp_path / "x_ray.png")
        list(classifier.predict(iter([tmp_path / "x_ray.png", noise(8, 8), dark])))
        [warning] = [line for line in logged if line.startswith("WARNING")]
        assert warning.endswith(f"or in 8 bits: {tmp_path}/x_ray.png, image 2.")

    def test_a_jpeg_that_is_decoded_at_a_part_of_its_size(self, exported: Exported, tmp_path: Path, label: Label) -> None:
        path = tmp_path / "large.jpg"
        PIL.Image.fromarray(noise(1100, 1500)).save(path)
        loaded = label_image.load(exported.graph, decode_scale="auto")
        expected = answers_of(label, exported.graph, [path], "--decode_scale=auto")
        assert_same([loaded.predict(path)], expected)
        assert_same([loaded.predict(path.read_bytes())], expected)
        # All pixels of an array are there already: it is labelled as by a network that decodes them all.
        full = label_image.load(exported.graph, decode_scale="full")
        assert loaded.predict(pixels_of(path)).scores == full.predict(pixels_of(path)).scores


def with_thresholds(exported: Exported, path: Path, thresholds: tuple[float, ...]) -> Path:
    """Write the graph as one for images with several labels."""
    graph = read_graph(str(exported.graph))
    [node] = [each for each in graph.node if each.name == NODE_NAME]
    about = Description.from_json(node.attr["value"].tensor.string_val[0])
    node.attr["value"].tensor.string_val[:] = [dataclasses.replace(about, thresholds=thresholds).to_json().encode()]
    path.write_bytes(graph.SerializeToString())
    return path


def test_of_several_labels_only_those_above_their_threshold(
    exported: Exported, pictures: list[Path], tmp_path: Path, label: Label
) -> None:
    graph = with_thresholds(exported, tmp_path / "several.pb", (0.05, 0.1, 0.05))
    found = label_image.load(graph).predict(pictures)
    assert_same(found, answers_of(label, graph, pictures))
    assert len({len(each.labels) for each in found}) > 1
    none = label_image.load(with_thresholds(exported, tmp_path / "none.pb", (1.0, 1.0, 1.0))).predict(pictures[0])
    assert (none.labels, none.scores, none.label, none.score) == ((), (), None, None)
    assert none.to_dict() == {"image": str(pictures[0]), "predictions": []}


def test_a_graph_that_decodes_files_itself(inception: Path, photos: Path, label: Label) -> None:
    loaded = label_image.load(inception, input_layer="DecodeJpeg/contents")
    assert loaded.input_size is None
    assert repr(loaded) == f"<ImageClassifier {inception}: 5 labels, input files>"
    paths = [photos / "1.jpg", photos / "4.JPG"]
    assert_same(loaded.predict(paths), answers_of(label, inception, paths, "--input_layer=DecodeJpeg/contents"))
    expected = [loaded.predict(photos / "0.png").to_dict()]
    assert_same(loaded.predict([pixels_of(photos / "0.png")]), expected)
    assert_same(list(loaded.predict(PIL.Image.open(photos / "0.png") for _ in range(1))), expected)
    with pytest.raises(label_image.ImageError, match=r"^The image at index 1 cannot be labelled: the graph cannot decode it$"):
        loaded.predict([paths[0], b"some text"])
    with pytest.raises(label_image.ImageError, match=r"^/nowhere\.jpg cannot be labelled: No such file or directory$"):
        loaded.predict("/nowhere.jpg")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tflite", *(["onnx"] if HAS_ONNX else [])])
def test_files_of_other_runtimes_load_no_tensorflow(kind: str, exported: Exported, pictures: list[Path]) -> None:
    program = f"""
import sys
import label_image
assert not {{"numpy", "PIL"}} & set(sys.modules), "importing the package must load nothing"
found = label_image.load({str(exported.path(kind))!r}).predict({str(pictures[0])!r})
print(found.label)
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "keras")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    best = label_image.load(exported.path(kind)).predict(pictures[0]).label
    assert done.stdout.splitlines() == [best, "[]"]


@pytest.mark.slow
def test_a_network_that_is_converted_for_arrays_loads_no_tensorflow_afterwards(
    mobilenet_model_dir: Path, few_photos: list[Path], tmp_path: Path
) -> None:
    """The first images stand in for the photos that the command compares a conversion on."""
    import retrain
    from retrain.engines.store import VARIABLE

    settings = {"bottleneck_dir": "b", "summaries_dir": "s", "output_graph": "g.pb", "output_labels": "g.txt"}
    retrain.run(
        retrain.RetrainConfig(
            image_dir=str(few_photos[0].parents[1]),
            architecture="mobilenet_0.25_128",
            model_dir=str(mobilenet_model_dir),
            how_many_training_steps=10,
            **{name: str(tmp_path / value) for name, value in settings.items()},  # type: ignore[arg-type]
        )
    )
    program = f"""
import sys
import numpy as np
import label_image
pixels = np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8)
print(label_image.load({str(tmp_path / "g.pb")!r}).predict(pixels).scores)
print("tensorflow" in sys.modules)
"""
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(tmp_path / "conversions")},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(done.stdout.splitlines())
    assert [lines[1] for lines in outputs] == ["True", "False"]
    assert outputs[0][0] == outputs[1][0]
    assert re.fullmatch(r"\([\d., e-]+\)", outputs[0][0])
