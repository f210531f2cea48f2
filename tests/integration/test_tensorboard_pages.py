"""TensorBoard's pages of a finished run in a real browser: pictures, tables, HParams, and the Projector."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import RunCli, draw_photo
from tests.support.browser import chromium
from tests.support.commands import assert_succeeded
from tests.support.shared import made_once
from tests.support.tensorboard import PATIENCE_SECONDS, serving_tensorboard, wait_for_page

pytestmark = pytest.mark.slow
HOSTILE = '<script>alert(1)</script> & "x"'
LABELS = {HOSTILE: "red dots", "green rings": "green rings"}
N_EACH = 30
# The sizes of all pictures in the page, also in its shadow roots.
PICTURES = """
const sizes = [];
const walk = (root) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.shadowRoot) walk(element.shadowRoot);
    if (element.matches('img') && element.getBoundingClientRect().width > 50)
      sizes.push([element.naturalWidth, element.naturalHeight]);
  }
};
walk(document);
return sizes;
"""
# The field of the Projector in which one types what to search for.
SEARCH = """
const inside = (root, selector) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.matches(selector)) return element;
    const found = element.shadowRoot && inside(element.shadowRoot, selector);
    if (found) return found;
  }
};
return inside(inside(document, 'vz-projector-input[label=Search]').shadowRoot, 'input');
"""
SCRIPTS = "return [...document.querySelectorAll('script')].filter(each => each.textContent.includes('alert(1)')).length"


@pytest.fixture(scope="module")
def summaries(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on drawn photos, some of them under the wrong label; return the folder of summaries."""

    def train(folder: Path) -> Path:
        rows = [("path", "label")]
        for number, (label, kind) in enumerate(LABELS.items()):
            for seed in range(N_EACH):
                wrong = "green rings" if kind == "red dots" and seed % 5 == 0 else kind
                draw_photo(wrong, seed).save(folder / f"{number} {seed:02d} <b>.jpg")
                rows.append((f"{number} {seed:02d} <b>.jpg", label))
        with open(folder / "photos.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        training = ["--image_list=photos.csv", "--architecture=tiny_resnet_128", "--how_many_training_steps=60"]
        outputs = ["--bottleneck_dir=cache", "--run_dir=run", "--random_seed=1", "--testing_percentage=40"]
        weights = f"--class_weights={HOSTILE}=2"
        assert_succeeded(run_cli("retrain", *training, *outputs, weights, cwd=folder))
        return folder / "run" / "training_summaries"

    return made_once(tmp_path_factory, "tensorboard_pages", train)


@pytest.fixture(scope="module")
def tensorboard(summaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_tensorboard(summaries, tmp_path_factory.mktemp("tensorboard") / "log.txt") as url:
        yield url


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Yield a browser, which fails at its next command if a script has opened a dialog."""
    with chromium(tmp_path / "profile") as window:
        yield window
        window.switch_to.default_content()
        assert window.execute_script(SCRIPTS) == 0


def open_page(browser: Any, address: str, texts: set[str], screenshot: Path) -> None:
    browser.get(address)
    wait_for_page(browser, texts, 0, screenshot)


def test_images(browser: Any, tensorboard: str, summaries: Path, tmp_path: Path) -> None:
    events = EventAccumulator(str(summaries / "test"), size_guidance={"images": 0}).Reload()
    tags = events.Tags()["images"]
    assert tags == ["test/confusion_matrix", "test/mistakes", "test/most_confident"]
    written = {tag: PIL.Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string)).size for tag in tags}
    browser.set_window_size(1400, 3500)  # Pictures that are out of sight are not loaded.
    open_page(browser, f"{tensorboard}#images", {"test", *tags}, tmp_path / "images.png")
    deadline, found = time.monotonic() + PATIENCE_SECONDS, list[tuple[int, int]]()
    while set(found) != set(written.values()) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = [tuple(size) for size in browser.execute_script(PICTURES)]
    assert sorted(found) == sorted(written.values())


def test_texts(browser: Any, tensorboard: str, tmp_path: Path) -> None:
    texts = {"test", "classes", "recall", "precision", HOSTILE, "green rings", "given", "class_weights", f"{HOSTILE}=2.0"}
    open_page(browser, f"{tensorboard}#text", texts, tmp_path / "text.png")


def test_hparams(browser: Any, tensorboard: str, tmp_path: Path) -> None:
    texts = {"test", "architecture", "tiny_resnet_128", "learning_rate", "class_weights", f"{HOSTILE}=2.0", "accuracy_1"}
    open_page(browser, f"{tensorboard}#hparams", texts, tmp_path / "hparams.png")


def test_scalars_of_classes(browser: Any, tensorboard: str, tmp_path: Path) -> None:
    texts = {"accuracy_1", "recall", "precision", "test_classes"}
    open_page(browser, f"{tensorboard}#timeseries", texts, tmp_path / "timeseries.png")


def test_projector(browser: Any, tensorboard: str, tmp_path: Path) -> None:
    browser.get(f"{tensorboard}#projector")
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in range(2):  # A frame of TensorBoard's, and in it one of the plugin's.
        while not (frames := browser.find_elements("css selector", "iframe")) and time.monotonic() < deadline:
            time.sleep(0.5)
        browser.switch_to.frame(frames[0])
    wait_for_page(browser, {"1 tensor found", str(2 * N_EACH), "512"}, 0, tmp_path / "projector.png")
    # The photos are red or green, and so are many points; nothing else in the page is.
    shares = (0.0, 0.0)
    while min(shares) < 5e-4 and time.monotonic() < deadline:
        time.sleep(0.5)
        shares = red_and_green(browser.get_screenshot_as_png())
    assert min(shares) >= 5e-4, f"{shares} of the pixels are red and green"
    # The list of what was searched for shows labels.
    browser.execute_script(SEARCH).send_keys("script")
    wait_for_page(browser, {HOSTILE}, 0, tmp_path / "search.png")


def red_and_green(screenshot: bytes) -> tuple[float, float]:
    """Return the shares of pixels that are clearly red, and clearly green."""
    pixels = np.asarray(PIL.Image.open(io.BytesIO(screenshot)).convert("RGB")).astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    is_red = (red > 150) & (green < 80) & (blue < 80)
    is_green = (green > 130) & (red < 110) & (blue < 80)
    return float(is_red.mean()), float(is_green.mean())


def test_the_next_run_replaces_the_projectors_files(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    """Of three classes, then of two."""
    training = ["--architecture=pixels_8", "--how_many_training_steps=5", "--output_graph=graph.pb", "--output_labels=labels.txt"]
    outputs = ["--bottleneck_dir=cache", "--summaries_dir=logs", "--checkpoint_path=c/k", "--report="]
    counts = []
    for number in (3, 2):
        photos = tmp_path / f"photos {number}"
        photos.mkdir()
        for folder in sorted(small_photos.iterdir())[:number]:
            (photos / folder.name).symlink_to(folder)
        assert_succeeded(run_cli("retrain", f"--image_dir={photos}", *training, *outputs, cwd=tmp_path))
        files = sorted(path.relative_to(tmp_path / "logs") for path in (tmp_path / "logs").rglob("*") if path.is_file())
        assert len([path for path in files if path.name.startswith("events.out")]) == 4
        assert [str(path) for path in files if not path.name.startswith("events.out")] == [
            "test/metadata.tsv",
            "test/projector_config.pbtxt",
            "test/sprite.jpg",
            "test/vectors.tsv",
        ]
        counts.append(len((tmp_path / "logs" / "test" / "vectors.tsv").read_text().splitlines()))
    assert counts == [75, 50]
    (tmp_path / "logs" / "test" / "projector_config.pbtxt").write_text("embeddings {}")
    refused = run_cli("retrain", f"--image_dir={photos}", *training, *outputs, cwd=tmp_path)
    assert refused.returncode == 2 and "holds a file that is not TensorBoard's: logs/test/" in refused.stderr
