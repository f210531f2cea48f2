"""TensorFlow Lite classifiers with 8-bit input and output, as the converter's full-integer quantization makes them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert.interpreter import Interpreter

from label_image.classify import score_images
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.data.decode import image_from_file
from retrain.input_spec import InputSpec
from tests.support.quantized import SIZE, write_quantized

pytestmark = pytest.mark.slow


def by_hand(path: Path, photo: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Feed the grey levels themselves, as programs for such files do; return the scores and the step between two of them."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    [source], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    levels = np.round(image_from_file(str(photo), InputSpec(SIZE, SIZE, 0.0, 1.0)))
    interpreter.set_tensor(source["index"], (levels + np.iinfo(source["dtype"]).min)[None].astype(source["dtype"]))
    interpreter.invoke()
    scale, zero_point = output["quantization"]
    return (interpreter.get_tensor(output["index"])[0].astype(np.float32) - zero_point) * scale, scale


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_scores_are_those_of_the_interpreter(kind: str, few_photos: list[Path], tmp_path: Path) -> None:
    path = write_quantized(tmp_path / "network.tflite", kind, few_photos)
    labels = str(path.with_suffix(".txt"))
    classifier = open_classifier(str(path), ClassifierOptions(labels=labels))
    failed: dict[str, str] = {}
    batches = list(score_images(classifier, [str(photo) for photo in few_photos], failed))
    found = {index: row for indices, rows, _ in batches for index, row in zip(indices, rows, strict=True)}
    assert not failed and len(found) == len(few_photos)
    for index, photo in enumerate(few_photos):
        expected, step = by_hand(path, photo)
        assert expected.max() > 2 * step  # So that zeros could not pass.
        np.testing.assert_allclose(found[index], expected, atol=step * 1.01)


def test_the_input_settings_follow_from_the_scale(few_photos: list[Path], tmp_path: Path) -> None:
    for kind in ("uint8", "int8"):
        path = write_quantized(tmp_path / f"{kind}.tflite", kind, few_photos)
        spec = open_classifier(str(path), ClassifierOptions(labels=str(path.with_suffix(".txt")))).description.input_spec
        assert (spec.height, spec.width) == (SIZE, SIZE)
        assert spec.mean == pytest.approx(127.5, abs=1)
        assert spec.std == pytest.approx(127.5, rel=0.01)
