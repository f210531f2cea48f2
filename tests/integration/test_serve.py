"""`python -m label_image --serve` as a process on a real port: programs that ask it, and a person's browser."""

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import pytest
from pytest import approx

from tests.conftest import ROOT, Answer, RunCli, draw_photo
from tests.support.browser import accessibility_violations, chromium, console_errors, page_width, set_viewport
from tests.support.commands import assert_succeeded, own_environment
from tests.support.docs_blocks import blocks_of
from tests.support.exported import FORMATS, Exported
from tests.support.hiding import hiding
from tests.support.serving import Reply, ServeProcess, SlowClients, ask, classify, multipart, rest, wait_until_all
from tests.support.shared import made_once
from tests.support.terminal import on_terminal
from tests.support.tolerance import SCORE_TOLERANCE

pytestmark = pytest.mark.slow
HOSTILE = '<script>alert(1)</script> & "x"'
CLASSES = {HOSTILE: "red dots", "green rings": "green rings", "<b>": "blue stripes"}
N_CLIENTS = 200
MEBIBYTE = 1 << 20
MAX_SIDE = 13_378  # Of a square that has more pixels than the decoder allows.
OTHER_PAGE = "Pages of other sites may not use this server. Use its own page, or a program."
NO_IMAGE = "The image cannot be labelled: it is no image in a known format"


@pytest.fixture(scope="module")
def run_folder(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on drawn photos whose labels are hostile; return the run's folder."""

    def train(folder: Path) -> Path:
        with open(folder / "photos.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["path", "label"])
            for label, kind in CLASSES.items():
                for seed in range(25):
                    name = f"{kind} {seed}.jpg"
                    draw_photo(kind, seed).save(folder / name, quality=90)
                    table.writerow([name, label])
        training = ["--image_list=photos.csv", "--architecture=tiny_resnet_128", "--how_many_training_steps=100"]
        outputs = ["--bottleneck_dir=cache", "--run_dir=run", "--random_seed=1", "--report=", "--testing_percentage=20"]
        assert_succeeded(run_cli("retrain", *training, *outputs, cwd=folder))
        return folder / "run"

    return made_once(tmp_path_factory, "served_run", train)


@pytest.fixture(scope="module")
def server(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    folder = tmp_path_factory.mktemp("server")
    with ServeProcess(folder, "--graph", run_folder / "retrained_graph.pb", "--request_seconds=3", "--top_k=3") as running:
        yield running
        assert running.log == ""


def by_label(predictions: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["label"]: approx(each["score"], abs=SCORE_TOLERANCE) for each in predictions}


def command_line(run_cli: RunCli, photos: Sequence[Path], *flags: str | Path) -> list[dict[str, Any]]:
    """Return the scores by label that the command line prints for photos."""
    done = run_cli("label_image", "--image", *photos, "--output_format=json", *flags)
    assert_succeeded(done)
    return [by_label(each["predictions"]) for each in json.loads(done.stdout)]


def scores(reply: Reply) -> list[dict[str, Any]]:
    """Return the scores by label of an answer's images."""
    assert reply.status == 200, reply.body
    return [{each["label"]: each["score"] for each in answer["predictions"]} for answer in reply.json]


def test_what_it_prints(server: ServeProcess, run_folder: Path) -> None:
    assert server.line == f"Labelling with retrained_graph.pb at {server.address} (Ctrl-C ends it).\n"
    model = ask(server.port, "GET", "/model").json
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert (model["test_accuracy"], model["test_images"]) == (metrics["test"]["accuracy"], metrics["test"]["count"])
    assert sorted(model["labels"]) == sorted(CLASSES)
    assert (model["name"], model["network"]) == ("retrained_graph.pb", "tiny_resnet_128")
    assert (model["input"], model["top_k"]) == ({"height": 128, "width": 128}, 3)


def test_many_clients_at_once_get_the_answers_of_the_command_line(
    server: ServeProcess, run_folder: Path, small_photos: Path, run_cli: RunCli
) -> None:
    photos = sorted(small_photos.glob("*/*.jpg"))
    expected = command_line(run_cli, photos, "--graph", run_folder / "retrained_graph.pb")
    replies: list[Reply | None] = [None] * N_CLIENTS
    together = threading.Barrier(N_CLIENTS)

    def client(number: int) -> None:
        content = photos[number % len(photos)].read_bytes()
        together.wait()
        replies[number] = classify(server.port, content)

    clients = [threading.Thread(target=client, args=[number]) for number in range(N_CLIENTS)]
    for each in clients:
        each.start()
    wait_until_all(*clients)
    assert len(photos) == 75
    for number, reply in enumerate(replies):
        assert reply is not None
        assert scores(reply) == [expected[number % len(photos)]], number


def test_it_answers_while_others_send_a_byte_a_second(server: ServeProcess, few_photos: list[Path]) -> None:
    """And those are answered too, when their time is over."""
    head = b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
    with SlowClients(server.port, 5, head + bytes(1000)) as slow:
        for _ in range(5):
            for photo in few_photos:
                assert classify(server.port, photo.read_bytes()).status == 200
        for connection in slow.connections:
            answer = rest(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert answer.endswith(
                b'{"error":"The request did not arrive within 3 seconds. Send it again over a faster connection, or raise '
                b'--request_seconds."}'
            )
    assert ask(server.port, "GET", "/healthz").status == 200


def test_uploads_that_are_refused(server: ServeProcess, few_photos: list[Path]) -> None:
    large = (413, "An image may have 32 MiB at most. Send a smaller one.")
    assert classify(server.port, bytes(32 * MEBIBYTE + 1)).refusal == large
    chunks = iter([bytes(MEBIBYTE)] * 33)
    assert ask(server.port, "POST", "/classify", chunks).refusal == large
    body, headers = multipart(*[(f"{number}.jpg", bytes(30 * MEBIBYTE)) for number in range(3)])
    assert ask(server.port, "POST", "/classify", body, headers).refusal == (
        413,
        "A request may have 64 MiB at most. Send fewer images.",
    )
    bomb = io.BytesIO()
    PIL.Image.new("1", (MAX_SIDE, MAX_SIDE)).save(bomb, "PNG")
    assert classify(server.port, bomb.getvalue()).refusal == (
        415,
        "The image cannot be labelled: it has more than 178,956,970 pixels",
    )
    assert classify(server.port, b"GIF89a but no image").status == 415
    assert classify(server.port, Path(__file__).read_bytes()).refusal == (415, NO_IMAGE)
    assert classify(server.port, few_photos[0].read_bytes()).status == 200


def test_the_largest_image_is_labelled(server: ServeProcess, few_photos: list[Path]) -> None:
    """Bytes behind the end of a JPEG are ignored."""
    photo = few_photos[0].read_bytes()
    assert scores(classify(server.port, photo.ljust(32 * MEBIBYTE, b"\0"))) == [
        by_label(classify(server.port, photo).json[0]["predictions"])
    ]


def test_other_sites_are_refused(server: ServeProcess, few_photos: list[Path]) -> None:
    photo = few_photos[0].read_bytes()
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert ask(server.port, "POST", "/classify", photo, {"Origin": origin}).refusal == (403, OTHER_PAGE)
    assert ask(server.port, "POST", "/classify", photo, {"Origin": server.address.rstrip("/")}).status == 200
    status, sentence = ask(server.port, "GET", "/model", headers={"Host": f"evil.example:{server.port}"}).refusal
    assert status == 421
    assert sentence.startswith(f"The server does not answer to the name evil.example:{server.port}.")


def test_nothing_is_written(server: ServeProcess, run_folder: Path, few_photos: list[Path], tmp_path: Path) -> None:
    """Neither the photos nor anything else, wherever temporary files would go."""
    cwd, temporary = tmp_path / "cwd", tmp_path / "temporary"
    cwd.mkdir()
    temporary.mkdir()
    graph = run_folder / "retrained_graph.pb"
    with ServeProcess(cwd, "--graph", graph, environment={"TMPDIR": str(temporary)}) as running:
        body, headers = multipart(*[(path.name, path.read_bytes()) for path in few_photos], ("large.bin", bytes(20 * MEBIBYTE)))
        assert len(ask(running.port, "POST", "/classify", body, headers).json) == len(few_photos) + 1
        opened = [os.readlink(link) for link in Path(f"/proc/{running.process.pid}/fd").iterdir() if link.is_symlink()]
        assert [path for path in opened if str(tmp_path) in path] == [str(cwd / "serve.log")]
    assert [path.name for path in tmp_path.rglob("*")] == ["cwd", "temporary", "serve.log"] or [
        path.name for path in tmp_path.rglob("*")
    ] == ["temporary", "cwd", "serve.log"]


KINDS = ["graph", "saved", *FORMATS]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model(kind: str, exported: Exported, few_photos: list[Path], run_cli: RunCli, tmp_path: Path) -> None:
    path = {"graph": exported.graph, "saved": exported.folder / "saved"}.get(kind) or exported.path(kind)
    with ServeProcess(tmp_path, "--graph", path) as running:
        assert f"Labelling with {path.name} at " in running.line
        body, headers = multipart(*[(photo.name, photo.read_bytes()) for photo in few_photos])
        assert scores(ask(running.port, "POST", "/classify", body, headers)) == command_line(run_cli, few_photos, "--graph", path)


def test_a_network_by_name(few_photos: list[Path], run_cli: RunCli, tmp_path: Path) -> None:
    with ServeProcess(tmp_path, "--architecture=efficientnet_lite0", "--top_k=1000") as running:
        model = ask(running.port, "GET", "/model").json
        assert (model["name"], model["network"], len(model["labels"])) == ("efficientnet_lite0", "efficientnet_lite0", 1000)
        flags = ["--architecture=efficientnet_lite0", "--top_k=1000"]
        assert scores(classify(running.port, few_photos[0].read_bytes())) == command_line(run_cli, few_photos[:1], *flags)


@pytest.mark.parametrize(("number", "code", "text"), [(signal.SIGINT, 130, "Stopped.\n"), (signal.SIGTERM, -signal.SIGTERM, "")])
def test_signals_end_it(number: signal.Signals, code: int, text: str, run_folder: Path, tmp_path: Path) -> None:
    """Also with clients that are connected, and one that sends."""
    with ServeProcess(tmp_path, "--graph", run_folder / "retrained_graph.pb") as running:
        idle = socket.create_connection(("127.0.0.1", running.port))
        assert ask(running.port, "GET", "/healthz").status == 200
        with SlowClients(running.port, 1, b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
            assert running.stop(number) == code
        idle.close()
        assert running.log == text


def test_a_port_in_use(server: ServeProcess, run_folder: Path, run_cli: RunCli) -> None:
    done = run_cli("label_image", "--serve", "--graph", run_folder / "retrained_graph.pb", f"--port={server.port}")
    sentence = f"error: --port {server.port} is in use by another program. Give another one, or 0 for any free one.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


def test_another_port_and_host(run_folder: Path, few_photos: list[Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ServeProcess(tmp_path, "--graph", run_folder / "retrained_graph.pb", f"--port={port}", "--host=0.0.0.0") as running:
        assert running.line.endswith(f" at http://127.0.0.1:{port}/ (Ctrl-C ends it).\n")
        assert ask(port, "GET", "/healthz", headers={"Host": "192.168.0.7"}).status == 200
        assert ask(port, "GET", "/healthz", headers={"Host": "evil.example"}).status == 421
        warning = "WARNING: Everyone who can reach --host 0.0.0.0 over the network can use the server: it asks for no password.\n"
        assert running.log == warning


@pytest.mark.parametrize("host", ["no.such.name.invalid", "192.0.2.1", "a..b"])
def test_hosts_that_are_not_this_machine(host: str, label: Any) -> None:
    sentence = f"error: --host {host} is no name or address of this machine. Leave it out.\n"
    assert label("--serve", "--graph=graph.pb", f"--host={host}") == Answer(2, "", sentence)


def test_a_graph_that_cannot_be_opened(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(b"\xff\xd8\xff\xe0")
    done = run_cli("label_image", "--serve", "--graph=graph.pb", cwd=tmp_path)
    sentence = "error: --graph graph.pb is a JPEG image, not a trained graph.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


@pytest.mark.parametrize(
    ("module", "package"),
    [("starlette", "starlette"), ("uvicorn", "uvicorn"), ("python_multipart", "python-multipart"), ("h11", "h11")],
)
def test_the_extra_is_missing(module: str, package: str, run_folder: Path, run_cli: RunCli, tmp_path: Path) -> None:
    graph = run_folder / "retrained_graph.pb"
    done = run_cli("label_image", "--serve", "--graph", graph, env=hiding(tmp_path, module))
    sentence = f"error: The package {package} is missing. Install it: pip install '.[serve]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


def test_on_a_desktop_the_page_is_opened(run_folder: Path, tmp_path: Path) -> None:
    program, opened = tmp_path / "browser", tmp_path / "opened"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    program.chmod(0o755)

    ended: list[int] = []

    def end(written: str, pid: int) -> None:
        if "Ctrl-C" in written and not ended:  # Once: the program's last words are output too.
            ended.append(pid)
            while not opened.exists():
                os.sched_yield()
            os.kill(pid, signal.SIGINT)

    command = ("label_image", "--serve", "--graph", run_folder / "retrained_graph.pb")
    screen = on_terminal(*command, folder=tmp_path, env={"DISPLAY": ":9", "BROWSER": f"{program} %s"}, watch=end)
    assert screen.code == 130
    assert f" at {opened.read_text().strip()} (Ctrl-C ends it)." in screen.lines[0]


def outline(value: Any, name: str = "") -> Any:
    """Return the keys of a JSON value and the types of what they hold; errors as they are."""
    if isinstance(value, dict):
        return {key: outline(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [outline(each) for each in value] if name not in ("labels", "predictions") else outline(value[0])
    return value if name == "error" else type(value)


def test_the_requests_of_the_page_in_docs(
    server: ServeProcess,
    few_photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are answered as the page shows, with other numbers."""
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    monkeypatch.chdir(tmp_path)
    shutil.copy(few_photos[0], "photo.jpg")
    Path("notes.txt").write_text("notes")
    kinds = []
    for block in blocks_of(ROOT / "docs" / "serve.md", ROOT):
        kinds.append(block.kind)
        if block.kind == "console":
            [command] = block.commands
            [expected] = command.output or ()
            line = command.line.replace(":8000/", f":{server.port}/").replace("curl ", "curl --silent --show-error ", 1)
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, env=own_environment())
            assert outline(json.loads(done.stdout)) == outline(json.loads(expected)), command.line
        elif block.kind == "python":
            exec(compile(block.text.replace(":8000/", f":{server.port}/"), block.page, "exec"), {})
            assert scores(classify(server.port, few_photos[0].read_bytes())) == [
                by_label(json.loads(capsys.readouterr().out)[0]["predictions"])
            ]
    assert kinds == ["sh", "text", *["console"] * 4, "python", "sh"]


# ---- In the browser


class Card(NamedTuple):
    """A photo on the page: its name, the best label, labels with scores, and an error."""

    name: str
    best: str
    answers: list[tuple[str, str]]
    error: str


CAMERA = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
READ_CARDS = """
const text = (card, name) => (card.querySelector(name) || {textContent: ""}).textContent;
return [...document.querySelectorAll("#results > li")].map(card => [
  text(card, ".name"), text(card, ".best"),
  [...card.querySelectorAll(".answer")].map(each => [text(each, ".label"), text(each, ".value")]), text(card, ".error")]);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), *CAMERA) as window:
        yield window


@pytest.fixture
def page(browser: Any, server: ServeProcess) -> Any:
    """Open the page."""
    set_viewport(browser, 1280)
    browser.get(server.address)
    wait_for(browser, "return !document.getElementById('all-labels').hidden")
    console_errors(browser)
    return browser


def wait_for(browser: Any, condition: str) -> None:
    """Wait until a condition of the page is true."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 60).until(lambda window: window.execute_script(condition))


def cards(browser: Any, count: int) -> list[Card]:
    """Wait until this many photos have been answered; return what is shown of them."""
    wait_for(browser, f"return document.querySelectorAll('.best, #results .error').length === {count}")
    found = browser.execute_script(READ_CARDS)
    return [Card(name, best, [(label, score) for label, score in answers], error) for name, best, answers, error in found]


def choose(browser: Any, *paths: Path) -> None:
    browser.find_element("id", "files").send_keys("\n".join(map(str, paths)))


def drop(browser: Any, *paths: Path) -> None:
    """Drop files on the page, as the desktop does."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 250, "data": data})


def shown(score: float) -> str:
    """Return a score as the page shows it."""
    if 0.999 < score < 1:
        return "> 99.9%"
    return "< 0.1%" if 0 < score < 0.001 else f"{100 * score:.1f}%"


def test_it_labels_a_dropped_photo(page: Any, server: ServeProcess, small_photos: Path) -> None:
    photo = sorted((small_photos / "red dots").iterdir())[0]
    drop(page, photo)
    [card] = cards(page, 1)
    answers = [(each["label"], shown(each["score"])) for each in classify(server.port, photo.read_bytes()).json[0]["predictions"]]
    assert card == Card(photo.name, HOSTILE, answers, "")
    status = page.find_element("id", "status").text
    assert status == f"{photo.name}: {HOSTILE}, {answers[0][1]}."
    widths = page.execute_script("return [...document.querySelectorAll('.bar')].map(bar => parseFloat(bar.style.width))")
    assert widths == [approx(100 * score, abs=0.01) for score in scores(classify(server.port, photo.read_bytes()))[0].values()]
    assert console_errors(page) == []


def test_it_shows_the_model(page: Any, server: ServeProcess) -> None:
    model = ask(server.port, "GET", "/model").json
    accuracy = f"accuracy {100 * model['test_accuracy']:.1f}% on {model['test_images']} test images"
    facts = f"retrained_graph.pb · tiny_resnet_128 · input 128 × 128 pixels · {accuracy}"
    assert page.find_element("id", "model").text == facts
    page.find_element("id", "label-count").click()
    assert page.find_element("id", "labels").text.split("\n") == model["labels"]
    assert page.find_element("id", "privacy").text == "Photos are sent to this computer only. They are not stored."


def test_it_labels_many_chosen_photos(page: Any, small_photos: Path) -> None:
    photos = sorted(small_photos.glob("*/*.jpg"))[::3]
    kinds = {kind: label for label, kind in CLASSES.items()}
    choose(page, *photos)
    found = cards(page, len(photos))
    assert [card.name for card in found] == [photo.name for photo in photos]
    assert [card.best for card in found] == [kinds[photo.parent.name] for photo in photos]
    assert page.find_element("id", "status").text == f"{len(photos)} photos: {len(photos)} labelled."
    page.find_element("id", "clear").click()
    assert cards(page, 0) == []
    assert page.find_element("id", "status").text == "No photo yet."
    choose(page, photos[0])
    assert [card.name for card in cards(page, 1)] == [photos[0].name]
    assert console_errors(page) == []


def test_it_labels_a_pasted_photo(page: Any, server: ServeProcess, small_photos: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    photo = sorted((small_photos / "green rings").iterdir())[0]
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": server.address.rstrip("/")}
    page.execute_cdp_cmd("Browser.grantPermissions", allowed)
    page.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})  # Other browsers may take the focus meanwhile.
    copied = page.execute_async_script(
        """
        const [bytes, done] = arguments;
        createImageBitmap(new Blob([new Uint8Array(bytes)])).then(image => {
          const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
          canvas.getContext("2d").drawImage(image, 0, 0);
          canvas.toBlob(blob => navigator.clipboard.write([new ClipboardItem({"image/png": blob})]).then(
            () => done("copied"), error => done(String(error))));
        });
        """,
        list(photo.read_bytes()),
    )
    assert copied == "copied"
    page.find_element("tag name", "body").send_keys(Keys.CONTROL, "v")
    [card] = cards(page, 1)
    assert (card.best, card.error) == ("green rings", "")
    assert console_errors(page) == []


def test_it_labels_what_the_camera_sees(page: Any) -> None:
    page.find_element("id", "open-camera").click()
    wait_for(page, "return document.getElementById('video').videoWidth > 0")
    page.find_element("id", "shoot").click()
    [card] = cards(page, 1)
    assert card.name == "camera 1.jpg" and card.best in CLASSES and card.error == ""
    page.find_element("id", "close-camera").click()
    assert not page.find_element("id", "video").is_displayed()
    assert page.find_element("id", "open-camera").is_displayed()
    assert page.execute_script("return document.getElementById('video').srcObject === null")
    assert console_errors(page) == []


def test_it_tells_why_a_file_is_refused(page: Any, few_photos: list[Path], tmp_path: Path) -> None:
    large, text = tmp_path / "large.jpg", tmp_path / "<img src=x onerror=alert(1)>.jpg"
    with open(large, "wb") as file:
        file.truncate(32 * MEBIBYTE + 1)
    text.write_text("no image")
    drop(page, large, text, few_photos[0])
    errors = {card.name: card.error for card in cards(page, 3)}
    assert errors == {
        large.name: "Error: The file is larger than 32 MiB. Choose a smaller one.",
        text.name: f"Error: {NO_IMAGE}",
        few_photos[0].name: "",
    }
    assert page.find_element("id", "status").text == "3 photos: 1 labelled, 2 refused."
    assert page.execute_script("return document.querySelectorAll('main script, main img:not(.preview)').length") == 0


def test_it_tells_that_the_server_has_ended(run_folder: Path, few_photos: list[Path], browser: Any, tmp_path: Path) -> None:
    with ServeProcess(tmp_path, "--graph", run_folder / "retrained_graph.pb") as running:
        browser.get(running.address)
        wait_for(browser, "return !document.getElementById('all-labels').hidden")
        running.stop(signal.SIGTERM)
        choose(browser, few_photos[0])
        [card] = cards(browser, 1)
        assert card.error == "Error: The server does not answer. Is it still running?"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible_and_does_not_scroll_sideways(
    width: int, scheme: str, page: Any, small_photos: Path, tmp_path: Path
) -> None:
    """With everything that it can show: labels, answers, an error and the camera."""
    set_viewport(page, width, scheme)
    text = tmp_path / f"{'a name without spaces that is long '.replace(' ', '_') * 5}.txt"
    text.write_text("no image")
    choose(page, *sorted(small_photos.glob("*/*.jpg"))[::20], text)
    page.find_element("id", "label-count").click()
    page.find_element("id", "open-camera").click()
    wait_for(page, "return document.getElementById('video').videoWidth > 0")
    assert len(cards(page, 5)) == 5
    # As many labels as make the list scroll.
    page.execute_script(
        """
        const label = number => Object.assign(document.createElement("li"), {textContent: `label ${number}`});
        document.getElementById("labels").append(...[...Array(200).keys()].map(label));
        """
    )
    assert page_width(page) == width
    assert accessibility_violations(page) == []
    colour = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(245, 246, 248)" if scheme == "light" else "rgb(20, 23, 27)")


def test_no_other_page_can_use_it(server: ServeProcess, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<!DOCTYPE html><title>Another page</title>")
    browser.get((tmp_path / "other.html").as_uri())
    attempts = browser.execute_async_script(
        """
        const [address, done] = arguments;
        const ask = (path, options) => fetch(address + path, options).then(reply => `${reply.type} ${reply.status}`, String);
        Promise.all([
          ask("model", {}), ask("classify", {method: "POST", body: "x"}), ask("model", {mode: "no-cors"}),
        ]).then(done);
        """,
        server.address,
    )
    assert attempts == ["TypeError: Failed to fetch"] * 3
    frame = "const f = document.createElement('iframe'); f.src = arguments[0]; f.onload = () => arguments[1](f.contentDocument);"
    assert browser.execute_async_script(f"{frame} document.body.append(f);", server.address) is None
