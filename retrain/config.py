"""The configuration of a run: all options of all stages. Its fields are the flags of `python -m retrain`."""

import dataclasses
import os
from dataclasses import dataclass

from retrain.backbones.catalog import is_of_the_original
from retrain.backbones.overrides import INPUT_OPTIONS, network_problems
from retrain.backbones.published import INCEPTION
from retrain.options.bottlenecks import BottleneckOptions
from retrain.options.checkpoint import CheckpointOptions
from retrain.options.engine import LITERT
from retrain.options.evaluation import EvaluationOptions
from retrain.options.export import ExportOptions
from retrain.options.fine_tuning import FineTuningOptions
from retrain.options.flags import cross_check
from retrain.options.from_python import with_documented_fields
from retrain.options.head import DRAWN_VALIDATION_IMAGES, LBFGS, HeadOptions
from retrain.options.images import BY_CONTENT, ImageOptions
from retrain.options.network import NetworkOptions
from retrain.options.process import ProcessOptions


@with_documented_fields
@dataclass(frozen=True, kw_only=True)
class RetrainConfig(
    ImageOptions,
    NetworkOptions,
    BottleneckOptions,
    HeadOptions,
    FineTuningOptions,
    EvaluationOptions,
    ExportOptions,
    CheckpointOptions,
    ProcessOptions,
):
    """All settings of one run. Each field is the flag of `python -m retrain` of the same name; only the images are required.

    A path may be a `str` or an `os.PathLike`. `None` means "not given".

    Raises:
        FlagError: one line for each field whose value is not allowed, and for fields that cannot be combined.
    """

    def suited_to(self, learning_rate_scale: float) -> "RetrainConfig":
        """Return a copy in which the network determines what was not given.

        The learning rate follows from the `learning_rate_scale` of the network's record. Evaluations are on the whole validation
        set, but for the original's networks on images drawn from it, as there.
        """
        size = self.validation_batch_size or (DRAWN_VALIDATION_IMAGES if self.like_original else -1)
        return dataclasses.replace(self, learning_rate=self.learning_rate_for(learning_rate_scale), validation_batch_size=size)

    def n_images_run(self, n_images: int) -> int:
        """Return how many images the network runs on, of a data set of `n_images`: each once, or distorted ones at each step."""
        distorted = self.how_many_training_steps * max(self.train_batch_size, 1) if self.distorts else 0
        return n_images + distorted

    @property
    def like_original(self) -> bool:
        """True if the original's rules apply where the options name none: it runs one of its networks, or none was named."""
        return self.tfhub_module is None and is_of_the_original(self.architecture or INCEPTION)

    @property
    def images_root(self) -> str:
        """The folder that the paths of images are relative to: the image folder, or the folder of the table."""
        return self.image_dir or os.path.dirname(self.image_list or "") or "."

    @property
    def splits_by_spelling(self) -> bool:
        """True if the split depends on how the path of the image folder is typed, as the original's does."""
        return self.like_original and self.image_dir is not None and self.split_by != BY_CONTENT

    @property
    def trains_on_bottlenecks_alone(self) -> bool:
        """True if the bottlenecks are all that training needs: no step decodes images."""
        return not self.distorts and not self.fine_tune_steps

    @cross_check("architecture", "tfhub_module", *INPUT_OPTIONS)
    def _network_fits_its_options(self) -> str | None:
        return network_problems(self)

    @cross_check("engine", "device")
    def _litert_runs_on_the_cpu(self) -> str | None:
        if self.engine != LITERT or self.device in (None, "cpu"):
            return None
        return f"--engine {LITERT} runs on the CPU: --device must be cpu or left out. Got {self.device}."

    @cross_check("multi_label", "fine_tune_steps")
    def _fine_tuning_has_one_label(self) -> str | None:
        if not self.multi_label or not self.fine_tune_steps:
            return None
        return "--fine_tune_steps is for images with one label each: leave it or --multi_label out."

    @cross_check("output_graph", "save_split")
    def _saved_split_is_a_file_of_its_own(self) -> str | None:
        if self.save_split is None or os.path.abspath(self.save_split) != os.path.abspath(self.output_split):
            return None
        return f"--save_split must be another file than {self.output_split}, where every run writes the record of its split."

    @cross_check("early_stopping", "validation_percentage")
    def _early_stopping_has_validation_images(self) -> str | None:
        if not self.early_stopping or self.validation_percentage:
            return None
        return "--early_stopping needs validation images: --validation_percentage must not be 0."

    @cross_check("optimizer", "dropout", "flip_left_right", "random_crop", "random_scale", "random_brightness")
    def _lbfgs_has_a_constant_loss(self) -> str | None:
        if self.optimizer != LBFGS or not (self.dropout or self.distorts):
            return None
        return "--optimizer lbfgs needs a loss that stays the same from step to step: no --dropout and no distortions."
