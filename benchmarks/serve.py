"""Benchmark of the server: requests per second of POST /classify, beside the images per second of `label_image` on a folder.

    python -m benchmarks.serve --graph flowers.pb --image_dir flowers

Two processes have the network loaded: a server, and one that labels the folder as `label_image --image FOLDER` does, without its
start. They are measured in turn, several times; a ratio is that of two measurements of the same turn. The clients share the
processor with the server.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import ROOT, machine, spread
from retrain.evaluation.tables import markdown_table

CLIENTS = (1, 8, 32)
REQUEST = (
    "POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--graph", required=True, help="A trained graph.")
    parser.add_argument("--image_dir", required=True, help="Folder of photos.")
    parser.add_argument("--count", type=int, default=300, help="Number of the photos, and of the requests of a measurement.")
    parser.add_argument("--rounds", type=int, default=5, help="Number of turns.")
    parser.add_argument("--folder_process", action="store_true", help="Internal: label the photos at each line of stdin.")
    args = parser.parse_args()
    paths = sorted(Path(args.image_dir).rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // args.count)][: args.count]
    if args.folder_process:
        _label_folder(args.graph, paths)
        return
    flags = ["--graph", args.graph, "--image_dir", args.image_dir, "--count", str(args.count), "--folder_process"]
    server = _start("label_image", "--graph", args.graph, "--serve")
    folder = _start("benchmarks.serve", *flags)
    try:
        line = _read(server)
        port = re.search(r":(\d+)/", line)
        assert port, line
        rates = _measure(folder, int(port[1]), paths, args.rounds)
    finally:
        for process in (server, folder):
            process.kill()
            process.wait()
    print(f"{Path(args.graph).name}, {len(paths)} photos; {machine()}; medians of {args.rounds} turns, minimum and maximum.\n")
    labelling, *served = zip(*rates, strict=True)
    rows = [["label_image on the folder", spread(labelling, 0), ""]]
    for n_clients, found in zip(CLIENTS, served, strict=True):
        ratios = [one / other for one, other in zip(found, labelling, strict=True)]
        name = f"{n_clients} client{'s' if n_clients > 1 else ''}"
        rows.append([name, spread(found, 0), spread(ratios, 2)])
    print(markdown_table(["", "images per second", "ratio"], rows))


def _measure(folder: "subprocess.Popen[str]", port: int, paths: Sequence[Path], rounds: int) -> list[list[float]]:
    """Return the rates of each turn in images per second: of the folder, and of each number of clients."""
    requests = [REQUEST.format(length=path.stat().st_size).encode() + path.read_bytes() for path in paths]
    turns = []
    for _ in range(rounds + 1):
        assert folder.stdin
        folder.stdin.write("\n")
        folder.stdin.flush()
        rate = len(paths) / float(_read(folder))
        turns.append([rate, *(len(requests) / _seconds(port, requests, n_clients) for n_clients in CLIENTS)])
    return turns[1:]  # The first warms up.


def _label_folder(graph: str, paths: Sequence[Path]) -> None:
    """Label the photos at each line of stdin, and print the seconds."""
    from label_image.classify import classify_each
    from label_image.config import ClassifierOptions
    from label_image.opening import open_classifier
    from label_image.scoring import Images, Scorer
    from retrain.engines.choice import Work

    names = [str(path) for path in paths]
    scorer = Scorer(open_classifier(graph, ClassifierOptions()), Work(names))
    for _ in sys.stdin:
        start = time.perf_counter()
        images = Images(names, len(names))
        assert len(list(classify_each(scorer, images, 5))) == len(names)
        print(time.perf_counter() - start, flush=True)


def _seconds(port: int, requests: Sequence[bytes], n_clients: int) -> float:
    """Return the time that a number of clients take for all requests, each with one connection."""
    waiting = iter(requests)
    lock = threading.Lock()

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while True:
                with lock:
                    request = next(waiting, None)
                if request is None:
                    return
                connection.sendall(request)
                _receive(connection)

    threads = [threading.Thread(target=work) for _ in range(n_clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def _receive(connection: socket.socket) -> None:
    """Read one response; end the program unless it has labels."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    if not head.startswith(b"HTTP/1.1 200 ") or not json.loads(body)[0]["predictions"]:
        raise AssertionError(data)


def _start(module: str, *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *flags]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _read(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


if __name__ == "__main__":
    main()
