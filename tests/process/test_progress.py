"""Progress of the work, as a listener sees it."""

import threading

import pytest

from retrain.process.progress import Progress, advance, progress_to, progressing


def test_the_listener_is_told_of_the_beginning_and_of_each_advance() -> None:
    seen: list[Progress] = []
    with progress_to(seen.append):
        with progressing("download", None, "bytes"):
            advance(1000)
        with progressing("training", 4, "steps", done=2):
            advance()
            advance(1, 0.75)
        with progressing("fine_tuning", 1, "steps"):
            advance(1, None)
    assert seen == [
        Progress(phase="download", done=0, total=None, unit="bytes"),
        Progress(phase="download", done=1000, total=None, unit="bytes"),
        Progress(phase="training", done=2, total=4, unit="steps"),
        Progress(phase="training", done=3, total=4, unit="steps"),
        Progress(phase="training", done=4, total=4, unit="steps", validation_accuracy=0.75),
        Progress(phase="fine_tuning", done=0, total=1, unit="steps"),
        Progress(phase="fine_tuning", done=1, total=1, unit="steps"),
    ]


def test_an_accuracy_stays_until_the_next() -> None:
    seen: list[Progress] = []
    with progress_to(seen.append), progressing("training", 3, "steps"):
        advance(1, 0.5)
        advance()
        advance(1, 0.0)
    assert [each.validation_accuracy for each in seen] == [None, 0.5, 0.5, 0.0]


def test_nobody_is_told_who_did_not_ask() -> None:
    seen: list[Progress] = []
    with progressing("training", 1, "steps"):
        advance()
    with progress_to(seen.append):
        advance()  # Outside of any phase.
    with progress_to(None), progressing("training", 1, "steps"):
        advance()
    assert seen == []


def test_each_thread_has_its_own_listener() -> None:
    seen: dict[str, list[Progress]] = {"a": [], "b": []}
    together = threading.Barrier(2, timeout=60)

    def work(name: str) -> None:
        with progress_to(seen[name].append), progressing(name, 2, "steps"):
            for _ in range(2):
                together.wait()
                advance()

    threads = [threading.Thread(target=work, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: [(each.phase, each.done) for each in found] for name, found in seen.items()} == {
        name: [(name, 0), (name, 1), (name, 2)] for name in seen
    }


def test_an_exception_of_the_listener_ends_the_work() -> None:
    def refuse(progress: Progress) -> None:
        raise RuntimeError(progress.phase)

    with pytest.raises(RuntimeError, match=r"^training$"), progress_to(refuse), progressing("training", 1, "steps"):
        raise AssertionError("the work has begun")
    with progressing("training", 1, "steps"):
        advance()  # The listener is gone.
