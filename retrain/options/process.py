"""Options of the process around the job."""

from dataclasses import dataclass

from retrain.options.flags import Options, cross_check, flag
from retrain.process.device import DEVICE_PATTERN


@dataclass(frozen=True, kw_only=True)
class ProcessOptions(Options):
    """Options of the process around the job: log, device, times, randomness, and the checkpoint to resume from."""

    logging_verbosity: str = flag("Least severe message to print.", "INFO", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    device: str | None = flag(
        "Processor to use: cpu, gpu, or one of several GPUs by its number, such as gpu:1.",
        None,
        shown_default="TensorFlow's choice: the first GPU if there is one",
    )
    timing_report: str | None = flag(
        "File to write the times of the phases to, as JSON.", None, empty_is_none=True, shown_default="no file"
    )
    random_seed: int | None = flag(
        "Makes the run repeatable, bit for bit on one machine.",
        None,
        low=0,
        high=2**32,
        high_open=True,
        shown_default="different in each run",
    )
    checkpoint_path: str = flag("Prefix of the checkpoint files that hold the trained head.", "/tmp/_retrain_checkpoint")
    resume: bool = flag("Resume the training in the checkpoint, if there is one.", False)

    @cross_check("device")
    def _device_is_known(self) -> str | None:
        if self.device is None or DEVICE_PATTERN.fullmatch(self.device):
            return None
        return f"--device must be cpu, gpu or gpu:NUMBER. Got {self.device}."
