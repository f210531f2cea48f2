"""A real TensorBoard, and the tags that it is to show."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.commands import own_environment

# From the original's behaviour, "TensorBoard tags".
SCALARS = {"accuracy_1", "cross_entropy_1"} | {
    f"final_training_ops/{variable}/summaries/{measure}_1"
    for variable in ("weights", "biases")
    for measure in ("mean", "stddev", "max", "min")
}
HISTOGRAMS = {
    "final_training_ops/weights/summaries/histogram",
    "final_training_ops/biases/summaries/histogram",
    "final_training_ops/Wx_plus_b/pre_activations",
    "activations",
}
PATIENCE_SECONDS = 180
Found = TypeVar("Found")
# What has a place in the page, also in its shadow roots: texts, and in plots the lines of their series.
TEXTS_AND_LINES = """
const texts = [];
let lines = 0;
const walk = (root) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.shadowRoot) walk(element.shadowRoot);
    const box = element.getBoundingClientRect();
    if (box.width > 50 && element.matches('path.line')) lines += 1;
    const own = Array.from(element.childNodes).filter(node => node.nodeType === Node.TEXT_NODE);
    const text = own.map(node => node.textContent).join('').trim();
    if (text && box.width > 0 && box.height > 0) texts.push(text);
  }
};
walk(document);
return [texts, lines];
"""


@contextlib.contextmanager
def serving_tensorboard(logdir: Path, log: Path) -> Iterator[str]:
    """Run `tensorboard --logdir …`, whose output goes to `log`, and yield its address."""
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", f"--logdir={logdir}", "--port=0", "--host=127.0.0.1"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=own_environment(),
        )
    try:
        yield wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+/", log.read_text(errors="replace")), log)[0]
    finally:
        process.terminate()
        process.wait()


def wait_for(look: Callable[[], Found | None], log: Path) -> Found:
    """Return what `look` returns once that is something; the server may not answer yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, json.JSONDecodeError):
            if found := look():
                return found
        time.sleep(0.2)
    raise AssertionError(f"TensorBoard does not serve the run. It printed:\n{log.read_text(errors='replace')}")


def wait_for_page(browser: Any, texts: set[str], lines: int, screenshot: Path) -> None:
    """Wait until the page shows all the texts and as many lines of series. Leaves a picture of the page."""
    deadline, shown, drawn = time.monotonic() + PATIENCE_SECONDS, set[str](), 0
    while not (texts <= shown and drawn >= lines) and time.monotonic() < deadline:
        time.sleep(0.5)
        found, drawn = browser.execute_script(TEXTS_AND_LINES)
        shown = set(found)
    browser.save_screenshot(str(screenshot))
    assert texts <= shown, f"{texts - shown} not on the page, of which {screenshot} is a picture"
    assert drawn >= lines, f"{drawn} lines drawn on the page, of which {screenshot} is a picture"
