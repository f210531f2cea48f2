"""Times of phases, on a clock of the test's own; and the reports that two machines are compared by."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.process.timing import Phase, Timings
from scripts.compare_timings import main as compare

Advance = Callable[[float], None]


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Advance:
    """Lets time pass."""
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def by(seconds: float) -> None:
        now[0] += seconds

    return by


def test_a_phase_inside_another_stops_its_clock(advance: Advance) -> None:
    timings = Timings()
    with timings.phase("training", "steps") as training:
        for _ in range(3):
            advance(2)
            training.count += 10
            with timings.phase("evaluation", "images") as evaluation:
                advance(0.5)
                evaluation.count += 7
        advance(1)
    advance(100)
    with timings.phase("evaluation"):
        advance(1)
    with timings.phase("export"):
        advance(0.25)
    assert timings.seconds == {"training": 7, "evaluation": 2.5, "export": 0.25}
    assert str(timings) == "training 7.000 s (4.3 steps/s), evaluation 2.500 s (8.4 images/s), export 0.250 s"


def test_the_clock_stops_at_an_error(advance: Advance) -> None:
    timings = Timings()
    with pytest.raises(ZeroDivisionError), timings.phase("training"):
        advance(3)
        raise ZeroDivisionError
    advance(3)
    assert timings.seconds == {"training": 3}


def test_what_took_no_time_has_no_rate() -> None:
    assert (Phase(0, 5, "images").per_second, Phase(2, 0, "images").per_second, Phase(2, 5, "images").per_second) == (
        None,
        None,
        2.5,
    )


def report(path: Path, seconds: float, count: int) -> str:
    timings = Timings({"training": Phase(seconds, count, "steps"), "export": Phase(seconds / 2)})
    path.write_text(timings.to_json({"architecture": "mobilenet_0.25_128", "bottlenecks_made": 600}), encoding="utf-8")
    return str(path)


def test_a_report_says_what_was_done_and_where(tmp_path: Path) -> None:
    found = json.loads(Path(report(tmp_path / "a.json", 2, 100)).read_text(encoding="utf-8"))
    assert found["phases"]["training"] == {"seconds": 2, "count": 100, "unit": "steps", "per_second": 50}
    assert found["run"]["architecture"] == "mobilenet_0.25_128"
    assert found["machine"].keys() == {"processor", "cores", "gpus", "system", "python", "tensorflow"}
    assert found["machine"]["cores"] >= 1


def test_two_reports_are_compared_by_their_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([report(tmp_path / "a.json", 2, 100), report(tmp_path / "b.json", 1, 200)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("first: mobilenet_0.25_128, 600 bottlenecks made, on ")
    assert lines[2:5] == ["", "| phase | first | second | times as fast |", "| --- | --- | --- | --- |"]
    assert lines[5:] == ["| training | 2.00 s (50 steps/s) | 1.00 s (200 steps/s) | 4.0 |", "| export | 1.00 s | 0.50 s | 2.0 |"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"phases": {"a": 1}, "run": {}, "machine": {}}', '{"phases": 3}'])
def test_a_file_that_is_no_report(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert compare([str(tmp_path / "a.json"), "b.json"]) == 2
    expected = f"error: {tmp_path}/a.json is not a timing report. Give a file that --timing_report wrote.\n"
    assert capsys.readouterr().err == expected
    assert compare([str(tmp_path / "none.json"), "b.json"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/none.json cannot be read (No such file or directory).\n"
