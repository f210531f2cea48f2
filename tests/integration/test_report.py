"""The report of a real run in a real browser: from disk, with the network off and scripts off."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli, draw_photo
from tests.support.browser import accessibility_violations, chromium, console_errors, page_width, set_viewport
from tests.support.commands import assert_succeeded
from tests.support.shared import made_once

pytestmark = pytest.mark.slow
HOSTILE = '<script>alert(1)<script> & "x"'  # A file's name cannot have a slash.
CLASSES = {HOSTILE: "red dots", "green rings": "green rings"}


@pytest.fixture(scope="module")
def report(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on drawn photos, some of them under the wrong label and one damaged; return the report."""

    def train(folder: Path) -> Path:
        for label, kind in CLASSES.items():
            (folder / "photos" / label).mkdir(parents=True)
            for seed in range(30):
                wrong = "green rings" if kind == "red dots" and seed % 5 == 0 else kind
                draw_photo(wrong, seed).save(folder / "photos" / label / f"{seed:02d} <b>.jpg")
        (folder / "photos" / "green rings" / "<img src=x onerror=alert(1)>.jpg").write_bytes(b"no photo")
        training = ["--image_dir=photos", "--architecture=tiny_resnet_128", "--how_many_training_steps=60", "--random_seed=1"]
        outputs = ["--bottleneck_dir=cache", "--run_dir=run", "--testing_percentage=40"]
        assert_succeeded(run_cli("retrain", *training, *outputs, cwd=folder))
        return folder / "run" / "report.html"

    return made_once(tmp_path_factory, "report", train)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), "blink-settings=scriptEnabled=false") as window:
        window.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        window.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield window


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_works_without_network_and_scripts(width: int, scheme: str, report: Path, browser: Any) -> None:
    set_viewport(browser, width, scheme)
    browser.get(report.as_uri())
    with open(report.with_suffix("") / "mistakes.csv", newline="", encoding="utf-8") as file:
        mistakes = list(csv.DictReader(file))
    assert mistakes, "an empty list would show nothing"
    shown = browser.execute_script("return [...document.images].map(image => [image.naturalWidth, image.alt])")
    assert [image[0] > 0 for image in shown] == [True] * len(mistakes)
    assert [image[1].partition(" with score")[0] for image in shown] == [
        f"Labelled {each['label']}, predicted {each['prediction']}" for each in mistakes
    ]
    heights = browser.execute_script("return [...document.querySelectorAll('table, svg')].map(each => each.clientHeight)")
    assert len(heights) >= 8 and min(heights) > 20
    assert page_width(browser) == width
    assert console_errors(browser) == []
    text = browser.find_element("tag name", "body").text
    assert HOSTILE in text and "<img src=x onerror=alert(1)>.jpg" in text and "it is no image in a known format" in text
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")


def test_links_lead_somewhere(report: Path, browser: Any) -> None:
    browser.get(report.as_uri())
    targets = browser.execute_script("return [...document.links].map(link => link.getAttribute('href'))")
    anchors = [target for target in targets if target.startswith("#")]
    assert all(browser.find_elements("id", anchor[1:]) for anchor in anchors) and len(anchors) >= 6
    files = sorted(target for target in targets if not target.startswith("#"))
    assert files == sorted(f"report/{path.name}" for path in (report.parent / "report").iterdir())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(scheme: str, report: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as window:
        set_viewport(window, 1280, scheme)
        window.get(report.as_uri())
        assert accessibility_violations(window) == []


def test_scripts_in_names_do_not_run(report: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as window:
        window.get(report.as_uri())
        assert window.execute_script("return document.scripts.length") == 0
        assert console_errors(window) == []


def test_it_can_be_placed_elsewhere_or_left_out(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    training = [
        f"--image_dir={small_photos}",
        "--architecture=pixels_8",
        "--how_many_training_steps=5",
        "--output_graph=graph.pb",
    ]
    outputs = ["--bottleneck_dir=cache", "--summaries_dir=logs", "--checkpoint_path=c/k", "--output_labels=labels.txt"]
    assert_succeeded(run_cli("retrain", *training, *outputs, "--report=there/page.html", cwd=tmp_path))
    assert (tmp_path / "there" / "page.html").is_file() and (tmp_path / "there" / "page" / "classes.csv").is_file()
    assert_succeeded(run_cli("retrain", *training, *outputs, "--report=", cwd=tmp_path))
    assert list(tmp_path.glob("*report*")) == []
    wrong = run_cli("retrain", *training, *outputs, "--report=graph.pb", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --report and --output_graph must be different files. Got graph.pb for both.\n",
    )


def test_tables_of_another_kind_are_not_replaced(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "flowers_report").mkdir()
    (tmp_path / "flowers_report" / "mistakes.csv").write_text("mine")
    flags = [f"--image_dir={small_photos}", "--architecture=pixels_8", "--output_graph=flowers.pb", "--bottleneck_dir=cache"]
    process = run_cli("retrain", *flags, "--output_labels=flowers.txt", "--summaries_dir=logs", cwd=tmp_path)
    assert (process.returncode, (tmp_path / "flowers_report" / "mistakes.csv").read_text()) == (2, "mine")
    assert process.stderr.endswith(
        "error: --report: the folder flowers_report, where the lists of the report are written, has tables of another kind. Move "
        "it away, or give another place by --report; an empty one writes no report.\n"
    )


def test_another_file_is_not_replaced(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "flowers_report.html").write_text("<p>my notes</p>")
    flags = [
        f"--image_dir={small_photos}",
        "--architecture=tiny_resnet_128",
        "--output_graph=flowers.pb",
        "--bottleneck_dir=cache",
    ]
    process = run_cli("retrain", *flags, "--output_labels=flowers.txt", "--summaries_dir=logs", cwd=tmp_path)
    assert (process.returncode, (tmp_path / "flowers_report.html").read_text()) == (2, "<p>my notes</p>")
    assert process.stderr.endswith(
        "error: --report flowers_report.html would replace a file that is no report. Move it away, or give another place by "
        "--report; an empty one writes no report.\n"
    )
    assert not (tmp_path / "flowers.pb").exists()
