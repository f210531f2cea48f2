"""Tolerances that hold on every processor.

On some processors the last bits of an image's bottleneck depend on its position in the batch. So a run that makes its bottlenecks
in other batches gets bottlenecks, weights and scores that agree to these tolerances; training itself repeats to the last bit.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tests.support.commands import entries, read_bottleneck, read_graph

BOTTLENECK_TOLERANCE = 1e-6  # Of the largest value in the image's bottleneck.
WEIGHT_TOLERANCE = 1e-5  # Of the largest value in the tensor. Bottlenecks changed at random by up to 1e-6 change weights by 1e-6.
SCORE_TOLERANCE = 1e-5


def are_same_bottlenecks(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> bool:
    """Return True if bottlenecks, float32 [N, D] or [D], may be those of the same images through the same network."""
    largest = np.abs(expected).max(axis=-1, keepdims=True)
    return bool((np.abs(found - expected) <= BOTTLENECK_TOLERANCE * largest).all())


def assert_same_bottlenecks(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> None:
    """Assert that bottlenecks, float32 [N, D] or [D], agree."""
    assert found.shape == expected.shape
    assert are_same_bottlenecks(found, expected), f"they differ by up to {np.abs(found - expected).max()}"


def assert_same_bottleneck_file(found: Path, expected: Path) -> None:
    assert_same_bottlenecks(read_bottleneck(found), read_bottleneck(expected))


def assert_same_graph(found: Path, expected: Path) -> None:
    """Assert that graphs have the same nodes, and weights that agree."""
    ours, theirs = read_graph(found), read_graph(expected)
    assert [node.name for node in ours.node] == [node.name for node in theirs.node]
    for node, other in zip(ours.node, theirs.node, strict=True):
        if node != other:
            assert node.op == other.op == "Const", node.name
            values, others = (tf.make_ndarray(each.attr["value"].tensor) for each in (node, other))
            assert values.dtype == others.dtype == np.float32 and values.shape == others.shape, node.name
            np.testing.assert_allclose(values, others, rtol=0, atol=WEIGHT_TOLERANCE * np.abs(others).max(), err_msg=node.name)


def same_files(cache: Path, other: Path) -> bool:
    """Return True if two caches hold the same bottlenecks to the last bit."""
    texts, others = ({path.relative_to(folder): path.read_bytes() for path in entries(folder)} for folder in (cache, other))
    return texts == others
