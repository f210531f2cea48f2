"""Times of a run's phases: for people in the log, and with the machine's description as JSON for programs."""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from retrain.process.tensorflow_loading import is_loaded, load_tensorflow


@dataclass
class Phase:
    """A phase of a run.

    Attributes:
        seconds: wall time, without that of nested phases.
        count: number of items that were processed.
        unit: name of the items, such as `images`.
    """

    seconds: float = 0.0
    count: int = 0
    unit: str = ""

    @property
    def per_second(self) -> float | None:
        """Items per second; None if either is 0."""
        return self.count / self.seconds if self.seconds and self.count else None

    def __str__(self) -> str:
        rate = self.per_second
        return f"{self.seconds:.3f} s" + (f" ({rate:.{0 if rate >= 10 else 1}f} {self.unit}/s)" if rate else "")


@dataclass
class Timings:
    """The phases of a run by name, in the order in which they began."""

    phases: dict[str, Phase] = field(default_factory=dict)
    _running: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextlib.contextmanager
    def phase(self, name: str, unit: str = "") -> Iterator[Phase]:
        """Time the block. A phase may be entered again, also inside another phase, whose clock stops meanwhile."""
        phase = self.phases.setdefault(name, Phase(unit=unit))
        self._switch()
        self._running.append(name)
        try:
            yield phase
        finally:
            self._switch()
            self._running.pop()

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.phases[self._running[-1]].seconds += now - self._since
        self._since = now

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of each phase, by name."""
        return {name: phase.seconds for name, phase in self.phases.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} {phase}" for name, phase in self.phases.items())

    def to_json(self, about: dict[str, Any]) -> str:
        """Return the phases, with `about` (the run) and the machine, as JSON over several lines."""
        phases = {name: {**asdict(phase), "per_second": phase.per_second} for name, phase in self.phases.items()}
        return json.dumps({"run": about, "machine": machine(), "phases": phases}, indent=2) + "\n"


def machine() -> dict[str, Any]:
    """Return what a run's speed depends on; of the GPUs, those that TensorFlow may use, if it was loaded."""
    import importlib.metadata  # Which takes longer to load than all else here.

    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "gpus": _gpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "tensorflow": importlib.metadata.version("tensorflow"),
    }


def _gpus() -> list[str]:
    if not is_loaded():
        return []
    config = load_tensorflow().config
    gpus = config.get_visible_devices("GPU")
    return [config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def processor_name() -> str:
    """Return the name of the processor's model."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
