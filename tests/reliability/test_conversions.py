"""Conversions of networks. What is kept for the next run is whole and the user's own, or it is not used."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrain.__main__ import main
from retrain.engines.store import VARIABLE
from tests.reliability.conftest import Note
from tests.support.commands import Outputs, read_bottleneck
from tests.support.running import Running

pytestmark = pytest.mark.slow

TRAINING = ["--architecture=mobilenet_0.25_128", "--how_many_training_steps=20", "--random_seed=3", "--logging_verbosity=DEBUG"]
CONVERTING = "Converting the network for LiteRT, once."


class Network:
    """Runs with a network that has to be converted, each with a cache of bottlenecks of its own."""

    def __init__(self, flags: Sequence[str], folder: Path, conversions: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._flags, self._folder, self.conversions, self._capsys = flags, folder, conversions, capsys
        self._n_runs = 0

    def start(self) -> tuple[Running, Outputs]:
        outputs = self._next_outputs()
        return Running(outputs.folder, *self._flags, *outputs.flags()), outputs

    def run_here(self) -> tuple[str, Outputs]:
        """As `run`, in this process, which loads TensorFlow once for all runs."""
        outputs = self._next_outputs()
        self._capsys.readouterr()
        code = main([*self._flags, *outputs.flags()])
        log = self._capsys.readouterr().err
        assert code == 0, log
        return log, outputs

    def _next_outputs(self) -> Outputs:
        self._n_runs += 1
        return Outputs(self._folder / f"run_{self._n_runs}")

    def run(self) -> tuple[str, Outputs]:
        """Return the log of a run that succeeds, and its outputs."""
        running, outputs = self.start()
        with running:
            assert running.end() == 0, running.log
        return running.log, outputs

    def kept(self) -> list[Path]:
        return sorted(self.conversions.glob("*.litert"))


@pytest.fixture
def network(
    small_photos: Path,
    mobilenet_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Network:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    flags = [f"--image_dir={small_photos}", f"--model_dir={mobilenet_model_dir}", *TRAINING]
    return Network(flags, tmp_path, tmp_path / "cache" / "conversions", capsys)


def check_same_bottlenecks(one: Outputs, other: Outputs) -> None:
    paths = sorted(one.bottlenecks.rglob("*.txt"))
    assert len(paths) == 75
    for path in paths:
        first, second = read_bottleneck(path), read_bottleneck(other.bottlenecks / path.relative_to(one.bottlenecks))
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-4 * np.abs(first).max())


def test_killed_while_it_converts(network: Network, note: Note, long: bool) -> None:
    tried = 10 if long else 2
    for number in range(tried):
        running, _ = network.start()
        with running:
            running.wait_until(lambda running=running: CONVERTING in running.log)  # type: ignore[misc]
            time.sleep(0.4 * number / tried)
            running.process.kill()
        assert len(network.kept()) <= 1
        for path in network.kept():  # Killed after it was written.
            path.unlink()
    log, converting = network.run()
    assert CONVERTING in log
    again, converted = network.run()
    assert CONVERTING not in again
    assert converting.graph.read_bytes() == converted.graph.read_bytes()
    note(
        "`kill -9` while a network is converted",
        tried=tried,
        happened="the next run converted it; the one after that used the conversion, and has the same graph, byte for byte",
    )


def test_two_runs_convert_at_once(network: Network, note: Note) -> None:
    with ThreadPoolExecutor() as threads:
        found = [each.result() for each in [threads.submit(network.run) for _ in range(2)]]
    assert len(network.kept()) == 1
    log, outputs = network.run()
    assert CONVERTING not in log
    for _, other in found:
        check_same_bottlenecks(outputs, other)
    note(
        "two first runs with a network at once",
        tried=1,
        happened="each converted it; one whole conversion is left, which the third run used",
    )


def test_a_damaged_conversion(network: Network, note: Note) -> None:
    _, first = network.run_here()
    [path] = network.kept()
    content = path.read_bytes()
    damages = {
        "cut off": content[:-1000],
        "a byte changed": content[:-5000] + bytes([content[-5000] ^ 1]) + content[-4999:],
        "emptied": b"",
        "another file": b"no conversion\n" * 100,
    }
    for damage in damages.values():
        path.write_bytes(damage)
        log, outputs = network.run_here()
        assert CONVERTING in log
        check_same_bottlenecks(first, outputs)
        assert path.stat().st_size > len(content) // 2
    note(
        f"a conversion that was damaged: {', '.join(damages)}",
        tried=len(damages),
        happened="not run; the network was converted again",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_conversions_of_another_user(network: Network, note: Note) -> None:
    _, first = network.run_here()
    [path] = network.kept()
    for target in (path, network.conversions):  # It is whole: only its owner speaks against it.
        os.chown(target, 12345, -1)
        log, outputs = network.run_here()
        assert (CONVERTING in log) == (target == path)
        check_same_bottlenecks(first, outputs)
    assert "The network is not converted: " in log and "belongs to another user" in log
    assert network.conversions.stat().st_uid == 12345
    note(
        "a conversion, and a folder of conversions, that another user has written",
        tried=2,
        happened="not run: the network was converted again, or where the folder is not the user's own, TensorFlow ran it",
    )


@pytest.mark.parametrize("what", ["a file in its place", "a link that leads nowhere", "a folder that all can write to"])
def test_no_place_for_conversions(network: Network, note: Note, what: str) -> None:
    network.conversions.parent.mkdir()
    if what == "a file in its place":
        network.conversions.touch()
    elif what == "a link that leads nowhere":
        network.conversions.symlink_to(network.conversions.parent / "nowhere" / "at all")
    else:
        network.conversions.mkdir()
        network.conversions.chmod(0o777)
    log, _ = network.run_here()
    assert CONVERTING not in log
    assert network.kept() == []
    note(f"no folder to keep conversions in: {what}", tried=1, happened="TensorFlow ran the network")
