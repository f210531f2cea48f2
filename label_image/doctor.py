"""The doctor: finds the input settings of an old graph by trying them on labelled photos."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from label_image.config import ClassifierOptions
from label_image.opening import Classifier, open_classifier
from label_image.scoring import check_labels
from label_image.settings import write_settings
from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.decode import decode, read_image
from retrain.data.image_lists import list_images
from retrain.data.labels import matching_label
from retrain.data.loader import suitable_batch_size
from retrain.data.orientation import UPRIGHT, orientation_of, upright
from retrain.data.resize import PixelArray, fit
from retrain.engines.choice import Work
from retrain.errors import FlagError, GraphError, ImageError, ImageFolderError
from retrain.evaluation.metrics import accuracy, cross_entropy, softmax
from retrain.evaluation.tables import markdown_table
from retrain.graphdef.nodes import node_name
from retrain.input_spec import APPLY, CHANNEL_ORDERS, EXIF_ORIENTATIONS, IGNORE, RESIZES, SQUASH, InputSpec
from retrain.options.engine import TENSORFLOW
from retrain.options.images import ORIGINAL_NAMES, ImageOptions
from retrain.process.interruption import raise_if_interrupted

MOST_PHOTOS = 60
FEW_PHOTOS = 10
MOST_ROWS = 8
BEST = 4  # Settings of the first round with which ways of resizing and orientations are tried.
SIZES = (96, 128, 160, 192, 224, 227, 240, 256, 260, 299, 331, 384)  # Of published networks.
# Pixel mean and pixel standard deviation of published networks: MobileNet and most others, modules of TensorFlow Hub, plain grey
# levels, Inception v3 (2015), EfficientNet-Lite, Inception v1 (2014), and the mean of ImageNet alone.
SCALINGS = ((127.5, 127.5), (0.0, 255.0), (0.0, 1.0), (128.0, 128.0), (127.0, 128.0), (117.0, 1.0), (114.8, 1.0))
HEADS = ("size", "mean", "std", "channels", "resize", "EXIF orientation", "correct", "cross entropy")
NEAR, NEAR_NATS = 1.05, 0.005
STANDARD_DEVIATIONS = 3  # Of a classifier that guesses; the best of many tries has to be further from chance.


@dataclass(frozen=True)
class _Labelled:
    """Labelled photos, decoded.

    Attributes:
        stored, upright: pixels of each photo, uint8 [h, w, 4], as stored and turned upright.
        classes: int64 [N], the index of each one's label.
    """

    stored: Sequence[PixelArray]
    upright: Sequence[PixelArray]
    classes: IndexArray

    @property
    def some_are_turned(self) -> bool:
        """True if a photo is stored turned."""
        return any(one is not other for one, other in zip(self.stored, self.upright, strict=True))


@dataclass(frozen=True)
class _Trial:
    """Settings that were tried, the number of photos that got their label, and the mean cross entropy in nats."""

    spec: InputSpec
    n_correct: int
    entropy: float

    @property
    def rank(self) -> tuple[int, float]:
        return -self.n_correct, self.entropy

    def is_near(self, best: "_Trial") -> bool:
        """Return True if a few photos cannot tell these settings from the best ones."""
        return self.n_correct >= best.n_correct - 1 and self.entropy <= best.entropy * NEAR + NEAR_NATS


def diagnose(graph_path: str, image_dir: str, options: ClassifierOptions) -> str:
    """Try the input settings that a graph could mean, and write the best ones beside it.

    Args:
        graph_path: file of the graph.
        image_dir: folder of labelled photos, one folder for each class.
        options: settings that are known; they are not varied.

    Returns:
        The table of the best settings, and where they were written.

    Raises:
        FlagError, GraphError: the graph cannot be opened, or is a folder.
        ImageFolderError: there are no photos of its classes.
    """
    if os.path.isdir(graph_path):
        raise FlagError(f"--doctor is for a graph in one file. Got {graph_path}, a folder.")
    classifier, options = _open(graph_path, dataclasses.replace(options, engine=TENSORFLOW))
    photos = _labelled(image_dir, classifier.description.labels)
    network = classifier.network(Work())
    n_labels = len(classifier.description.labels)

    def trials(specs: Iterable[InputSpec]) -> list[_Trial]:
        found = [trial for spec in specs if (trial := _try(network, classifier, photos, spec))]
        return sorted(found, key=lambda trial: trial.rank)

    first = trials(_first_round(_sizes(graph_path, options, classifier), options, classifier.description.input_spec))
    if not first:
        raise GraphError(f"{graph_path} runs with none of the sizes that were tried. Set --input_height and --input_width.")
    second = trials(_second_round(first[:BEST], options, photos.some_are_turned))
    best = sorted([*first, *second], key=lambda trial: trial.rank)
    known = classifier.description.input_spec
    chosen = next((trial for trial in best if trial.spec == known and trial.is_near(best[0])), best[0])
    count = len(photos.classes)
    table = markdown_table(HEADS, [_row(trial, count) for trial in best[:MOST_ROWS]], aligned=True)
    text = f"{count} photos of {image_dir}, {len(best)} settings tried. The best:\n\n{table}\n\n"
    chance = count / n_labels + STANDARD_DEVIATIONS * (count / n_labels * (1 - 1 / n_labels)) ** 0.5
    if best[0].n_correct <= chance:
        raise GraphError(
            f"{text}No settings label these photos clearly better than chance, so none were written. Are the labels in the order "
            "of the training? Is it the right --output_layer?"
        )
    path = write_settings(graph_path, _settings(classifier, chosen.spec))
    few = f"With only {count} photos, others may be as good. " if count < FEW_PHOTOS else ""
    which = "The first ones" if chosen is best[0] else "Those that label_image would infer are as good, and"
    return f"{text}{few}{which} were written to {path}: label_image and scripts.evaluate use them with this graph.\n"


def _open(path: str, options: ClassifierOptions) -> tuple[Classifier, ClassifierOptions]:
    """Open the graph, with some settings for those that cannot be inferred; return the options without them."""
    guesses: Sequence[dict[str, float]] = (
        {},
        {"input_mean": 127.5, "input_std": 127.5},
        {"input_height": 224, "input_width": 224},
    )
    guessed: dict[str, float] = {}
    for guess in guesses:
        guessed |= {name: value for name, value in guess.items() if getattr(options, name) is None}
        try:
            return open_classifier(path, dataclasses.replace(options, **guessed)), options  # type: ignore[arg-type]
        except GraphError as error:
            failure = error
            if "--input_" not in str(error):
                break
    raise failure


def _labelled(image_dir: str, labels: Sequence[str]) -> _Labelled:
    """Read up to MOST_PHOTOS photos, as many of each class."""
    lists = list_images(ImageOptions(image_dir=image_dir, all_images=True, label_names=ORIGINAL_NAMES))
    by_label: dict[str, list[str]] = {}
    for image in lists.images:
        if label := matching_label(image.folder, labels):
            by_label.setdefault(label, []).append(image.path)
    if not by_label:
        raise ImageFolderError(
            f"--image_dir {image_dir} has no photos in folders named as the graph's labels: {', '.join(labels)}."
        )
    most = max(1, MOST_PHOTOS // len(by_label))
    stored, turned, classes = [], [], []
    for label, paths in by_label.items():
        for path in [paths[index] for index in np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)]:
            raise_if_interrupted()
            try:
                contents = read_image(path)
                pixels = decode(contents)
            except ImageError:
                continue
            orientation = orientation_of(contents)
            stored.append(pixels)
            turned.append(pixels if orientation == UPRIGHT else upright(pixels, orientation))
            classes.append(labels.index(label))
    if not stored:
        raise ImageFolderError(f"No photo of --image_dir {image_dir} can be decoded.")
    return _Labelled(stored, turned, np.array(classes, np.int64))


def _sizes(path: str, options: ClassifierOptions, classifier: Classifier) -> list[tuple[int, int]]:
    """Return the sizes to try: the one given, or the only one that the graph takes, or those of published networks."""
    spec = classifier.description.input_spec
    if options.input_height and options.input_width:
        return [(options.input_height, options.input_width)]
    other = dataclasses.replace(options, input_height=spec.height + 1, input_width=spec.width + 1, input_mean=0.0, input_std=1.0)
    try:
        open_classifier(path, other)
    except (FlagError, GraphError):  # It takes no other.
        return [(spec.height, spec.width)]
    return list(dict.fromkeys([(spec.height, spec.width), *((side, side) for side in SIZES)]))


def _first_round(sizes: Sequence[tuple[int, int]], options: ClassifierOptions, known: InputSpec) -> Iterator[InputSpec]:
    scalings = [*SCALINGS, (known.mean, known.std)]
    if options.input_mean is not None or options.input_std is not None:
        scalings = [
            (mean if options.input_mean is None else options.input_mean, std if options.input_std is None else options.input_std)
            for mean, std in scalings
        ]
    orders = [options.channel_order] if options.channel_order else CHANNEL_ORDERS
    resize, orientation = options.resize or SQUASH, options.exif_orientation or IGNORE
    for (height, width), (mean, std), order in itertools.product(sizes, dict.fromkeys(scalings), orders):
        yield InputSpec(height, width, mean, std, resize, exif_orientation=orientation, channel_order=order)


def _second_round(best: Sequence[_Trial], options: ClassifierOptions, some_are_turned: bool) -> Iterator[InputSpec]:
    resizes = [options.resize] if options.resize else RESIZES
    orientations = EXIF_ORIENTATIONS if some_are_turned and not options.exif_orientation else [best[0].spec.exif_orientation]
    for trial, resize, orientation in itertools.product(best, resizes, orientations):
        spec = dataclasses.replace(trial.spec, resize=resize, exif_orientation=orientation)
        if spec != trial.spec:
            yield spec


def _try(network: BatchFunction, classifier: Classifier, photos: _Labelled, spec: InputSpec) -> _Trial | None:
    """Run the photos with some settings; return None if the graph does not run with images of that size."""
    raise_if_interrupted()
    pixels = photos.upright if spec.exif_orientation == APPLY else photos.stored
    size = suitable_batch_size(spec)
    batches = (pixels[start : start + size] for start in range(0, len(pixels), size))
    try:
        scores = np.concatenate([_rows(network, np.stack([fit(each, spec) for each in batch])) for batch in batches])
    except Exception as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None
    check_labels(classifier, scores.shape[1])
    logits = _logits(scores)
    return _Trial(spec, round(accuracy(logits, photos.classes) * len(pixels)), cross_entropy(logits, photos.classes))


def _rows(network: BatchFunction, images: FloatArray) -> FloatArray:
    return network(images).reshape(len(images), -1)


def _logits(scores: FloatArray) -> FloatArray:
    """Return logits of scores, whether these are probabilities or logits themselves."""
    are_probabilities = (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-2)
    probabilities = scores if are_probabilities else softmax(scores)
    return np.log(np.maximum(np.nan_to_num(probabilities), np.finfo(np.float32).tiny))


def _row(trial: _Trial, count: int) -> list[str]:
    spec = trial.spec
    return [
        f"{spec.height} × {spec.width}",
        f"{spec.mean:g}",
        f"{spec.std:g}",
        spec.channel_order,
        spec.resize,
        spec.exif_orientation,
        f"{trial.n_correct} of {count}",
        f"{trial.entropy:.4f}",
    ]


def _settings(classifier: Classifier, spec: InputSpec) -> dict[str, str | int | float]:
    about = classifier.description
    return {
        "input_layer": node_name(about.input_tensor),
        "output_layer": node_name(about.output_tensor),
        "input_height": spec.height,
        "input_width": spec.width,
        "input_mean": spec.mean,
        "input_std": spec.std,
        "resize": spec.resize,
        "exif_orientation": spec.exif_orientation,
        "channel_order": spec.channel_order,
    }
