"""Benchmark of loading the cache and of training, against the number of images.

    python -m benchmarks.growth --counts 1000,10000,100000 --bottleneck_size 2048

For each count, writes bottleneck files of random numbers, loads them in a process of its own, and trains 4,000 steps.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

import numpy as np

from benchmarks.common import ROOT, machine
from retrain.data.image_lists import LabelledImage
from retrain.evaluation.tables import markdown_table

N_CLASSES = 5
N_STEPS = 4000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", default="1000,3000,10000,30000,100000")
    parser.add_argument("--bottleneck_size", type=int, default=2048)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "COUNT"), help="Internal: measure one count in this process.")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_one(args.one[0], int(args.one[1]), args.bottleneck_size)))
        return
    rows = []
    folder = tempfile.mkdtemp(prefix="retrain-growth-")
    try:
        for count in map(int, args.counts.split(",")):
            _write_cache(folder, count, args.bottleneck_size)
            command = [sys.executable, "-m", "benchmarks.growth", "--bottleneck_size", str(args.bottleneck_size)]
            output = subprocess.run(
                [*command, "--one", folder, str(count)], check=True, text=True, stdout=subprocess.PIPE, cwd=ROOT
            ).stdout
            rows.append(_row(count, **json.loads(output)))
    finally:
        shutil.rmtree(folder)
    print(f"Bottlenecks of {args.bottleneck_size} values, {N_CLASSES} classes, on {machine()}.\n")
    heads = ["images", "loading, s", "µs per image", "memory ÷ array", "4,000 steps, s"]
    print(markdown_table(heads, rows))


def _row(count: int, loading: float, memory: float, training: float) -> list[str]:
    return [f"{count:,}", f"{loading:.2f}", f"{loading / count * 1e6:.0f}", f"{memory:.2f}", f"{training:.2f}"]


def _image(folder: str, number: int) -> LabelledImage:
    name = f"{number}.jpg"
    split = ("training", "training", "training", "validation", "testing")[number // N_CLASSES % 5]
    return LabelledImage(os.path.join(folder, name), f"class{number % N_CLASSES}", name, number % N_CLASSES, split)


def _write_cache(folder: str, count: int, size: int) -> None:
    """Write the missing files. Their texts repeat after a thousand files, which the reader does not notice."""
    from retrain.bottlenecks.cache import BottleneckCache, format_values

    rng = np.random.default_rng(0)
    texts = [format_values(rng.standard_normal(size, dtype=np.float32)) for _ in range(1000)]
    cache = BottleneckCache(folder, "random", size, "")
    for number in range(count):
        path = cache.path(_image(folder, number))
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(texts[number % len(texts)])


def _one(folder: str, count: int, size: int) -> dict[str, float]:
    """Return the seconds of loading and of training, and the peak memory added by loading divided by the size of the array."""
    from retrain.bottlenecks.cache import BottleneckCache
    from retrain.bottlenecks.extract import Extractor
    from retrain.data.image_lists import ImageLists
    from retrain.data.sampling import RandomGenerators
    from retrain.head.batches import Batches
    from retrain.head.dataset import make_dataset
    from retrain.head.model import SoftmaxHead
    from retrain.head.trainer import Trainer, train
    from retrain.input_spec import InputSpec
    from retrain.options.head import HeadOptions

    images = [_image(folder, number) for number in range(count)]
    cache = BottleneckCache(folder, "random", size, "")
    before, children = _peak_bytes(), ChildrenMemory()
    children.start()
    start = time.perf_counter()
    bottlenecks = Extractor(images, cache, _no_network, InputSpec(1, 1, 0, 1)).bottlenecks(range(count))
    loading = time.perf_counter() - start
    memory = (_peak_bytes() - before + children.peak_bytes) / bottlenecks.values.nbytes
    labels = tuple(f"class{number}" for number in range(N_CLASSES))
    options, rngs = HeadOptions(how_many_training_steps=N_STEPS, train_batch_size=100), RandomGenerators(0)
    data = make_dataset(ImageLists(labels, labels, tuple(images)), bottlenecks, bottlenecks.failed)
    head = SoftmaxHead(size, N_CLASSES, rngs.head)
    start = time.perf_counter()
    trainer = Trainer(options, labels, data.class_counts("training"), head, 0)
    train([trainer], Batches(options, data, rngs.of_split).training(), lambda *_: None)
    return {"loading": loading, "memory": memory, "training": time.perf_counter() - start}


def _no_network() -> NoReturn:
    raise AssertionError("every bottleneck is in the cache")


def _peak_bytes() -> int:
    """Return the peak memory of this process in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class ChildrenMemory(threading.Thread):
    """Thread that records the peak memory of all children of this process together, in bytes.

    getrusage is not used: it includes the moment between fork and exec, when a child still looks as large as its parent.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0

    def run(self) -> None:
        while True:
            children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
            self.peak_bytes = max(self.peak_bytes, sum(map(_high_water_bytes, children)))
            time.sleep(0.05)


def _high_water_bytes(process: str) -> int:
    try:
        status = Path("/proc", process, "status").read_text(encoding="utf-8")
        program = Path("/proc", process, "cmdline").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(found.group(1)) if found and "parallel_read" in program else 0


if __name__ == "__main__":
    main()
