"""A real browser without a window: Chromium, driven through selenium."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AXE_VARIABLE = "RETRAIN_AXE_CORE"
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "no-proxy-server",
    "hide-scrollbars",  # So that the width of a page is that of the window.
    "window-size=1400,900",
)
RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).then(
  found => done(found.violations.map(each => `${each.id}: ${each.nodes.map(node => node.html).slice(0, 3).join(" ")}`)),
  error => done([String(error)]));
"""


@contextlib.contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Any]:
    """Yield a browser with an empty profile in `profile`; `flags` are more of Chromium's own. Skips the test if there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e .[dev]")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("there is no chromium with its chromedriver: on Debian, apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"user-data-dir={profile}", *flags):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "localhost,127.0.0.1")  # The driver is on this machine, whatever the environment says.
        window = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        try:
            yield window
        finally:
            window.quit()


def set_viewport(browser: Any, width: int, scheme: str = "light") -> None:
    """Show pages at this width in pixels, in a light or a dark colour scheme."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def page_width(browser: Any) -> int:
    """Return the width of the page's content in pixels; more than that of the viewport if it scrolls sideways."""
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


def console_errors(browser: Any) -> list[str]:
    """Return what the page has printed as errors and warnings since the last call."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def accessibility_violations(browser: Any) -> list[str]:
    """Return the violations of WCAG 2.1, levels A and AA, that axe-core finds in the page. Skips the test without it."""
    path = os.environ.get(AXE_VARIABLE, "")
    if not os.path.isfile(path):
        pytest.skip(f"set {AXE_VARIABLE} to axe.min.js of the npm package axe-core to run this")
    browser.set_script_timeout(120)
    browser.execute_script(Path(path).read_text(encoding="utf-8"))
    return list(browser.execute_async_script(RUN_AXE))
