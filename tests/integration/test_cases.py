"""Small reproductions of what people met (`cases/` beside the photos): each script is run, and gives what its README expects."""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.commands import own_environment

pytestmark = pytest.mark.slow
MEDIAPIPE = "RETRAIN_TEST_MEDIAPIPE"  # A Python that has MediaPipe.


@pytest.fixture
def run_case(data_dir: Path, tmp_path: Path) -> "Case":
    return Case(data_dir / "cases", tmp_path)


class Case:
    """Runs the script of a case, in a folder of the test's own; returns its output without TensorFlow's own lines."""

    def __init__(self, cases: Path, folder: Path) -> None:
        self._cases, self._folder = cases, folder

    def __call__(self, name: str, **environment: str) -> list[str]:
        script = self._cases / name / "run.sh"
        if not script.is_file() or not shutil.which("bash"):
            pytest.skip(f"there is no {script}, or no bash")
        # `python -m scripts…` runs from the repository; the packages may not be installed.
        settings = {"PY": sys.executable, "PYTHONPATH": str(ROOT), "TMPDIR": str(self._folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.run(
            ["bash", script],
            env={**own_environment(), **settings, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        lines = process.stdout.splitlines()
        return [line for line in lines if not re.match(r"[IWE]\d{4} |WARNING: All log messages before absl", line)]


def rows_of(lines: list[str], best: bool = True) -> dict[str, tuple[str, float]]:
    """Return label and score of each image, from lines of `label_image --output_format csv`: the best, or any."""
    rows = csv.reader(io.StringIO("\n".join(lines)))
    found = (row for row in rows if len(row) == 4 and (row[1] == "1" if best else row[1].isdecimal()))
    return {Path(image).name: (label, float(score)) for image, _, label, score in found}


def test_deeper_folders(run_case: Case) -> None:
    text = "\n".join(run_case("deeper-folders"))
    assert "There are images further down, in a/daisy/2023/garden: they must lie in the class's folder itself." in text
    assert "WARNING: 12 images lie in a folder within a class's folder, where they are not used: b/roses/more." in text


def test_exif_orientation(run_case: Case) -> None:
    lines = run_case("exif-orientation")
    found = {name: score for name, (label, score) in rows_of(lines, best=False).items() if label == "roses"}
    assert set(found) == {"upright.png", *(f"exif{n}.{kind}" for n in (3, 6, 8) for kind in ("png", "jpg"))}
    for name, score in found.items():
        # A JPEG is another picture by its loss.
        assert score == pytest.approx(found["upright.png"], abs=1e-6 if name.endswith("png") else 0.02)
    assert any("/docs/" in line and re.search("exif|orientation", line, re.IGNORECASE) for line in lines)  # A page says so.


def test_hidden_folders(run_case: Case) -> None:
    lines = run_case("hidden-folders")
    warning = "WARNING: Hidden folders in d are no classes and are left out: .ipynb_checkpoints, __MACOSX."
    assert lines.count(warning) == 2
    assert [line for line in lines if line.endswith("$")] == ["daisy$", "roses$"]
    assert sum("images of 2 classes." in line for line in lines) == 2
    assert not any(line.startswith("error") for line in lines)


def test_labels_with_a_byte_order_mark(run_case: Case) -> None:
    lines = run_case("labels-bom")
    assert [line.strip().rstrip(",") for line in lines if '"label"' in line] == ['"label": "daisy"', '"label": "roses"']
    assert any(line.startswith("Accuracy = ") for line in lines)
    assert lines[-1] == "rc=0"


def test_class_names_that_are_not_ascii(run_case: Case) -> None:
    lines = run_case("non-ascii-classes")
    assert not any(line.startswith("error") for line in lines)
    assert {"Köpfe", "blüten_rot"} <= set(lines)
    assert "CafM-CM-)$" in lines  # `cat -A` of é as one character, whatever the folder's spelling is.
    assert re.match(r"tee  +\w|Café  +\w", lines[-1])  # The last line of the evaluation: of the confusion matrix, or a mistake.


def test_opencv_reads_the_bundled_network(run_case: Case) -> None:
    lines = run_case("opencv-bundled-network", CV=sys.executable)
    for graph in ("mobile", "tiny"):
        assert any(re.fullmatch(rf"{graph} \d+ layers", line) for line in lines)
    assert not any("Cast" in line or "AddV2" in line for line in lines)


def test_png_of_12_bits(run_case: Case) -> None:
    lines = run_case("png-12-bit")
    found = rows_of(lines)
    assert found["grey8.png"] == found["all16.png"]
    [warning] = [line for line in lines if line.startswith("WARNING")]
    assert warning.startswith("WARNING: 1 photo is nearly black: ") and warning.endswith(": low12.png.")


def test_a_cache_on_a_read_only_disk(run_case: Case) -> None:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a read-only mount needs root and unshare")
    lines = run_case("readonly-cache")
    if any("unshare" in line for line in lines):
        pytest.skip("nothing may be mounted here")
    assert not any(line.startswith("error") for line in lines)
    assert any(line.startswith("Graph written to o/g2.pb") for line in lines)


def test_resuming_with_other_photos(run_case: Case) -> None:
    lines = run_case("resume-other-photos")
    assert lines[-1] == (
        "error: The checkpoint o/head (--checkpoint_path) belongs to another training: images differ. Name the checkpoint of "
        "this one, or leave --resume out to train from the start."
    )


def test_mediapipe_reads_the_metadata(run_case: Case) -> None:
    python = os.environ.get(MEDIAPIPE)
    if not python:
        pytest.skip(f"set {MEDIAPIPE} to a Python that has MediaPipe to run this")
    lines = run_case("tflite-metadata", MP=python)
    for graph in ("retrained_graph.tflite", "retrained_graph.int8.tflite"):
        assert any(line.startswith(f"o/{graph} [('roses', 0.9") for line in lines), lines


def test_the_home_folder(run_case: Case) -> None:
    lines = run_case("tilde")
    first, second = lines.index("--- image_dir with =~"), lines.index("--- only outputs with =~")
    assert lines[second - 1] == "."  # Nothing but the folder itself: `find . -type d`.
    assert second - first == 3
    assert re.fullmatch(r"Graph written to /.*/home/models/g\.pb, labels to /.*/home/models/l\.txt\.", lines[second + 1])
    assert lines[second + 2 :] == sorted(lines[second + 2 :]) and "models" in lines[second + 2 :]


def test_webp(run_case: Case) -> None:
    lines = run_case("webp-left-out")
    assert "70 bottlenecks made, 0 read from o/b" in "\n".join(lines)
    assert any(line.endswith("images of 3 classes.") for line in lines)
    labels = lines.index("daisy")
    assert lines[labels : labels + 4] == ["daisy", "roses", "tulips", "30"]
    assert not any("skipped" in line for line in lines)
    assert sum(line.startswith("d/tulips/") for line in lines) == 20
