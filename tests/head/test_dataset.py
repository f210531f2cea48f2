"""The data set of a training, and the batches drawn from it."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.data.sampling import RandomGenerators
from retrain.errors import ImageFolderError
from retrain.head.batches import Batch, Batches
from retrain.head.dataset import Dataset, make_dataset
from retrain.options.head import LBFGS, HeadOptions
from retrain.options.images import SPLITS

# Classes of 12 images, out of order as in no real folder, so that nothing can rely on their order.
CLASSES = np.array([2, 0, 2, 1, 2, 0, 2, 2, 1, 2, 2, 4])

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
    with pytest.raises(TypeError, match="does not support item assignment"):
        data.members["training"] = data.members["testing"]  # type: ignore[index]


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
