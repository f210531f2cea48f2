"""Options of the process around the job."""

from dataclasses import dataclass

from retrain.options.flags import Options, cross_check, flag
from retrain.options.groups import ADVANCED, OUTPUT
from retrain.process.device import DEVICE_PATTERN


@dataclass(frozen=True, kw_only=True)
class ProgressOptions(Options, group=OUTPUT):
    """Options of what a terminal shows while a command runs."""

    no_progress: bool = flag("Show no progress bars and no summary on a terminal, but the log as it is in a file.", False)


@dataclass(frozen=True, kw_only=True)
class ProcessOptions(ProgressOptions, group=ADVANCED):
    """Options of the process around the job: log, device and times."""

    logging_verbosity: str = flag(
        "Least severe message to print.", "INFO", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"), group=OUTPUT
    )
    device: str | None = flag(
        "Processor to use: cpu, gpu, or one of several GPUs by its number, such as gpu:1.",
        None,
        shown_default="TensorFlow's choice: the first GPU if there is one",
    )
    timing_report: str | None = flag(
        "File to write the times of the phases to, as JSON.",
        None,
        empty_is_none=True,
        shown_default="no file",
        path="FILE",
        group=OUTPUT,
    )

    @cross_check("device")
    def _device_is_known(self) -> str | None:
        if self.device is None or DEVICE_PATTERN.fullmatch(self.device):
            return None
        return f"--device must be cpu, gpu or gpu:NUMBER. Got {self.device}."
