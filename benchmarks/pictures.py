"""Pictures of the documentation: the report, the page of `--serve`, and TensorBoard, of a run on drawn flowers.

`python -m benchmarks.pictures` writes docs/pictures/. It needs Chromium and its chromedriver, and `pip install -e '.[dev]'`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from benchmarks.common import ROOT
from tests.support.browser import chromium, set_viewport
from tests.support.commands import own_environment
from tests.support.tensorboard import serving_tensorboard

PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1100, 760  # Pixels of the window.
SHOWN_WIDTH = 880  # Of a picture in the documentation.
COLOURS = 128  # Of the palette, which makes the files small.
PATIENCE_SECONDS = 60
MISPLACED = 5  # Tulips in the folder of the roses.


def main(argv: Sequence[str] | None = None) -> int:
    """Make all pictures. Return the exit code."""
    argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        with chromium(folder / "profile") as browser:
            set_viewport(browser, WIDTH)
            take_report(browser, folder / "run" / "report.html")
            take_page(browser, folder)
            take_tensorboard(browser, folder)
    return 0


def prepare(folder: Path) -> None:
    """Draw flowers, put some tulips among the roses, and train."""
    module(folder, "scripts.make_flowers", "--output_dir=flowers")
    for tulip in sorted((folder / "flowers" / "tulips").iterdir())[:MISPLACED]:
        tulip.rename(folder / "flowers" / "roses" / tulip.name)
    (folder / "flowers" / "sunflowers" / "sunflowers_0000.jpg").unlink()  # The page keeps it, to be labelled later.
    outputs = ["--run_dir=run", "--bottleneck_dir=cache"]
    training = ["--architecture=efficientnet_lite0", "--random_seed=1", "--testing_percentage=30"]
    module(folder, "retrain", "--image_dir=flowers", *training, *outputs)


def environment() -> dict[str, str]:
    """Return the environment of this project's programs: they are those of this clone."""
    return {**own_environment(), "PYTHONPATH": str(ROOT)}


def module(folder: Path, *arguments: str) -> None:
    """Run a module of this project."""
    subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=environment(), check=True)


def take_report(browser: Any, report: Path) -> None:
    """Take the beginning of a report, and its mistakes."""
    browser.get(report.as_uri())
    save(browser, "report.png")
    browser.execute_script("document.getElementById('mistakes').scrollIntoView()")
    save(browser, "mistakes.png")


def take_page(browser: Any, folder: Path) -> None:
    """Take the page that labels photos, with two photos on it."""
    command = [sys.executable, "-m", "label_image", "--graph=run/retrained_graph.pb", "--serve"]
    server = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        browser.get(server.stdout.readline().split(" at ")[1].split()[0])
        photos = [folder / "flowers" / kind / f"{kind}_0042.jpg" for kind in ("daisy", "sunflowers")]
        browser.find_element("id", "files").send_keys("\n".join(map(str, photos)))
        until(lambda: len(browser.find_elements("css selector", "#results li img")) == len(photos))
        until(lambda: "score" in browser.page_source or "%" in browser.find_element("id", "results").text)
        save(browser, "page.png")
    finally:
        server.terminate()
        server.wait()


def take_tensorboard(browser: Any, folder: Path) -> None:
    """Take TensorBoard's page of pictures."""
    with serving_tensorboard(folder / "run" / "training_summaries", folder / "tensorboard.log") as address:
        browser.get(f"{address}#images")
        until(lambda: browser.execute_script(LOADED_PICTURES) >= 1)
        time.sleep(2)  # Until its animations have ended.
        browser.execute_script(HIDE_FOLDER, str(folder))
        save(browser, "tensorboard.png")


LOADED_PICTURES = """
const found = [];
const search = root => root.querySelectorAll("*").forEach(each => {
  if (each.tagName === "IMG" && each.naturalWidth > 50) found.push(each);
  if (each.shadowRoot) search(each.shadowRoot);
});
search(document);
return found.length;
"""


HIDE_FOLDER = """
const [folder] = arguments;
const hide = root => root.querySelectorAll("*").forEach(each => {
  if (!each.children.length && each.textContent.includes(folder)) each.style.visibility = "hidden";
  if (each.shadowRoot) hide(each.shadowRoot);
});
hide(document);
"""


def until(holds: Any) -> None:
    """Wait until a condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the page does not show what was expected")
        time.sleep(0.2)


def save(browser: Any, name: str) -> None:
    """Save the window as a small PNG file."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / name
    browser.save_screenshot(str(path))
    with PIL.Image.open(path) as image:
        shown = image.convert("RGB").crop((0, 0, WIDTH, min(image.height, HEIGHT)))
    shown = shown.resize((SHOWN_WIDTH, round(shown.height * SHOWN_WIDTH / WIDTH)), PIL.Image.Resampling.LANCZOS)
    shown.quantize(COLOURS).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
