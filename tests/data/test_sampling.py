"""Class-balanced sampling: a class uniformly, then one of its images uniformly; and the batches of a training."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_folder import SPLITS, ImageLists, LabelledImage
from retrain.data.sampling import RandomGenerators, Sampler
from retrain.errors import ImageFolderError
from retrain.head.batches import Batch, Batches
from retrain.head.dataset import Dataset, make_dataset
from retrain.options.head import LBFGS, HeadOptions

# Classes of 12 images, out of order as in no real folder, so that nothing can rely on their order.
CLASSES = np.array([2, 0, 2, 1, 2, 0, 2, 2, 1, 2, 2, 4])


def sampler(members: list[int], seed: int = 0, classes: IndexArray = CLASSES) -> Sampler:
    return Sampler(classes, members, np.random.default_rng(seed))


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    return sum((counts[index] - count) ** 2 / count for index, count in expected.items())


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_drawn_equally_often_and_so_are_images_within_one(seed: int) -> None:
    """All 12 images, in classes of 2, 2, 7 and 1: each class has a quarter of the draws, each image its share of that.

    31.3 is the 0.1% point of chi-square with 11 degrees of freedom (any table): one seed in 1,000 would be above.
    """
    n_draws = 40_000
    counts = Counter(sampler(list(range(12)), seed).draw(n_draws).tolist())
    sizes = Counter(CLASSES.tolist())
    expected = {index: n_draws / 4 / sizes[class_index] for index, class_index in enumerate(CLASSES.tolist())}
    assert sum(counts.values()) == n_draws
    assert chi_square(counts, expected) < 31.3


def test_the_bound_would_notice_images_drawn_uniformly() -> None:
    """The test above can fail: draws that ignore classes are far beyond its bound."""
    n_draws = 40_000
    counts = Counter(np.random.default_rng(0).integers(12, size=n_draws).tolist())
    sizes = Counter(CLASSES.tolist())
    expected = {index: n_draws / 4 / sizes[class_index] for index, class_index in enumerate(CLASSES.tolist())}
    assert chi_square(counts, expected) > 1000


def test_draws_are_independent_of_each_other() -> None:
    """Pairs of draws in a row: with classes 0 and 1 of one image each, all four pairs are equally frequent.

    16.3 is the 0.1% point of chi-square with 3 degrees of freedom.
    """
    drawn = sampler([0, 1], classes=np.array([0, 1])).draw(40_000).reshape(-1, 2)
    counts = Counter((drawn[:, 0] * 2 + drawn[:, 1]).tolist())
    assert chi_square(counts, dict.fromkeys(range(4), 5000.0)) < 16.3


def test_only_members_are_drawn_and_all_of_them() -> None:
    members = [0, 1, 3, 7, 11]
    drawn = sampler(members).draw(2000)
    assert set(drawn.tolist()) == set(members)
    assert drawn.dtype == np.int64


def test_classes_without_members_are_never_drawn() -> None:
    counts = Counter(CLASSES[sampler([0, 2, 4, 3]).draw(10_000)].tolist())
    assert set(counts) == {1, 2}
    assert counts[1] == pytest.approx(5000, abs=250)  # 5 standard deviations


def test_a_large_class_has_no_image_that_is_out_of_reach() -> None:
    classes = np.zeros(1000, np.int64)
    drawn = sampler(list(range(1000)), classes=classes).draw(20_000)
    assert set(drawn.tolist()) == set(range(1000))  # each is missed with probability 2e-9


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_a_batch_has_the_size_asked_for(batch_size: int) -> None:
    assert sampler([0, 1]).draw(batch_size).shape == (batch_size,)


def test_minus_one_draws_each_image_once_class_by_class() -> None:
    """Derived from CLASSES by hand: class 0, class 1, class 2, class 4, each in the order of the members."""
    drawn = sampler([11, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]).draw(-1)
    assert drawn.tolist() == [5, 1, 8, 3, 9, 7, 6, 4, 2, 0, 11]
    assert sampler(list(range(12))).draw(-1).tolist() == [1, 5, 3, 8, 0, 2, 4, 6, 7, 9, 10, 11]


def test_minus_one_uses_no_randomness() -> None:
    first, second = sampler([0, 1, 2], seed=3), sampler([0, 1, 2], seed=3)
    first.draw(-1)
    assert first.draw(50).tolist() == second.draw(50).tolist()


def test_the_same_seed_draws_the_same() -> None:
    members = list(range(12))
    assert sampler(members, 7).draw(100).tolist() == sampler(members, 7).draw(100).tolist()
    assert sampler(members, 7).draw(100).tolist() != sampler(members, 8).draw(100).tolist()


@pytest.mark.parametrize("batch_size", [-1, 1, 100])
def test_of_a_split_without_images_nothing_is_drawn(batch_size: int) -> None:
    empty = sampler([])
    assert len(empty) == 0
    drawn = empty.draw(batch_size)
    assert drawn.shape == (0,)
    assert drawn.dtype == np.int64


def test_the_length_is_the_number_of_images() -> None:
    assert len(sampler([3, 1, 2])) == 3


# The data set, and the batches drawn from it

N_VALUES = 3
SETS = ("training",) * 7 + ("validation",) * 2 + ("testing",) * 3  # Of the 12 images.


def image_lists(splits: Iterable[str] = SETS) -> ImageLists:
    labels = tuple(f"label {class_index}" for class_index in range(5))
    folders = tuple(f"Label_{class_index}" for class_index in range(5))
    images = tuple(
        LabelledImage(f"photos/{folders[class_index]}/{index}.jpg", folders[class_index], f"{index}.jpg", class_index, split)
        for index, (class_index, split) in enumerate(zip(CLASSES.tolist(), splits, strict=True))
    )
    return ImageLists(labels, folders, images)


def bottlenecks() -> Bottlenecks:
    """Return bottlenecks as the cache does, read-only; that of image i is [10 · i, 10 · i + 1, 10 · i + 2]."""
    values = (10 * np.arange(12)[:, np.newaxis] + np.arange(N_VALUES)).astype(np.float32)
    values.flags.writeable = False
    return Bottlenecks(values)


def dataset() -> Dataset:
    """Return a data set with three classes in the training set, and two in the validation and testing sets."""
    members = {"training": np.array([1, 5, 3, 0, 2, 4, 6]), "validation": np.array([8, 7]), "testing": np.array([9, 10, 11])}
    return Dataset(bottlenecks().values, CLASSES, members, 5)


def batches_of(options: HeadOptions, seed: int = 0) -> Batches:
    return Batches(options, dataset(), RandomGenerators(seed).of_split)


def indices_of(values: FloatArray) -> list[int]:
    """Return the images that the bottlenecks belong to."""
    indices = (values[:, 0] / 10).astype(np.int64)
    np.testing.assert_array_equal(values, bottlenecks().values[indices])
    return indices.tolist()


def test_a_data_set_has_the_images_of_each_set_class_by_class() -> None:
    splits = ("training",) * 5 + ("validation", "training", "testing") + ("training",) * 4
    lists = dataclasses.replace(image_lists(splits), labels=("a", "b", "c", "d"), folders=("A", "B", "C", "D"))
    images = [dataclasses.replace(image, class_index=min(image.class_index, 3)) for image in lists.images]
    data = make_dataset(dataclasses.replace(lists, images=tuple(images)), bottlenecks(), {4: "is empty", 8: "is gone"})
    assert data.classes.tolist() == [2, 0, 2, 1, 2, 0, 2, 2, 1, 2, 2, 3]
    found = {split: members.tolist() for split, members in data.members.items()}
    assert found == {"training": [1, 3, 0, 2, 6, 9, 10, 11], "validation": [5], "testing": [7]}
    assert data.class_counts("training").tolist() == [1, 1, 5, 1]
    assert data.class_counts("testing").tolist() == [0, 0, 1, 0]
    assert str(data) == "8 training + 1 validation + 1 testing images of 4 classes"
    assert data.n_classes == 4


def test_a_class_without_a_training_image_that_can_be_decoded_is_an_error() -> None:
    with pytest.raises(ImageFolderError) as caught:
        make_dataset(image_lists(["training"] * 12), bottlenecks(), {3: "the file is empty", 8: "the file is empty"})
    assert str(caught.value) == "No image of the class Label_1 is left to train on: none could be decoded."


def test_a_data_set_cannot_be_changed_in_place() -> None:
    lists = image_lists(["training"] * 10 + ["validation", "testing"])
    images = [dataclasses.replace(image, class_index=image.class_index % 3) for image in lists.images]
    made = bottlenecks()
    data = make_dataset(ImageLists(lists.labels[:3], lists.folders[:3], tuple(images)), made, {})
    assert data.values is made.values
    arrays: list[FloatArray | IndexArray] = [data.values, data.classes, *data.members.values()]
    assert list(data.members) == list(SPLITS)
    for array in arrays:
        assert len(array) > 0
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            np.add(array, 1, out=array)
    for field in dataclasses.fields(data):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(data, field.name, None)


@pytest.mark.parametrize("first_step", [0, 1, 5, 9, 10])
@pytest.mark.parametrize("train_batch_size", [4, -1])
@pytest.mark.parametrize("validation_batch_size", [6, -1])
def test_batches_from_a_later_step_are_the_rest_of_an_uninterrupted_run(
    first_step: int, train_batch_size: int, validation_batch_size: int
) -> None:
    """Ten steps, with an evaluation after every third one and after the last. The testing set's draws depend on no step."""
    options = HeadOptions(
        how_many_training_steps=10,
        train_batch_size=train_batch_size,
        validation_batch_size=validation_batch_size,
        eval_step_interval=3,
    )

    def run(first: int) -> tuple[list[tuple[list[int], list[int]]], list[list[int]], list[int]]:
        batches = batches_of(options)
        trained, validated = [], []
        for step, (values, classes) in enumerate(batches.training(first), first):
            trained.append((indices_of(values), classes.tolist()))
            if options.is_evaluated(step):
                validated.append(indices_of(batches.validation()[0]))
        return trained, validated, batches.testing(20).indices.tolist()

    whole, rest = run(0), run(first_step)
    assert [len(indices) for indices, _ in whole[0]] == [7 if train_batch_size == -1 else 4] * 10
    assert len(whole[1]) == 4
    assert rest[0] == whole[0][first_step:]
    n_evaluated = sum(options.is_evaluated(step) for step in range(first_step))
    assert rest[1:] == (whole[1][n_evaluated:], whole[2])


def test_batches_have_the_bottlenecks_and_classes_of_their_set() -> None:
    batches, data = batches_of(HeadOptions(train_batch_size=50, validation_batch_size=20)), dataset()

    def check(batch: Batch, split: str, size: int) -> None:
        values, classes = batch
        assert values.shape == (size, N_VALUES)
        assert [values.dtype, classes.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
        indices = indices_of(values)
        assert set(indices) == set(data.members[split].tolist())
        assert classes.tolist() == CLASSES[indices].tolist()

    check(next(batches.training()), "training", 50)
    check(batches.validation(), "validation", 20)
    for split, size in (("training", 7), ("validation", 2), ("testing", 3)):
        check(batches.whole(split), split, size)
    examples = batches.testing(30)
    assert len(examples) == len(examples.indices) == 30
    check((examples.bottlenecks, examples.classes), "testing", 30)
    assert examples.indices.tolist() == indices_of(examples.bottlenecks)
    assert batches.testing(-1).indices.tolist() == [9, 10, 11]


def test_lbfgs_has_one_batch_of_all_training_images() -> None:
    [(values, classes)] = batches_of(HeadOptions(optimizer=LBFGS, train_batch_size=2)).training(3)
    assert indices_of(values) == [1, 5, 3, 0, 2, 4, 6]
    assert classes.tolist() == [0, 0, 1, 2, 2, 2, 2]


def test_batches_of_a_set_without_images_are_empty() -> None:
    data = dataclasses.replace(dataset(), members={split: np.array([], np.int64) for split in SPLITS})
    batches = Batches(HeadOptions(), data, RandomGenerators(0).of_split)
    values, classes = batches.validation()
    assert (values.shape, classes.shape) == ((0, N_VALUES), (0,))
    assert len(batches.testing(100)) == 0
