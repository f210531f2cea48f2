"""The configuration of a training run: its fields are the flags of `python -m retrain`."""

import re
from dataclasses import dataclass
from typing import Any

from retrain.backbones.overrides import NetworkFlags, check_network_flags
from retrain.errors import FlagError
from retrain.graphdef.description import LARGEST_SIZE
from retrain.options.export_formats import EXPORTS, check_exports
from retrain.options.flags import check, flag
from retrain.options.training import BALANCED, LBFGS, OPTIMIZERS, SCHEDULES, BatchSizes, TrainingOptions
from retrain.process.device import DEVICE_PATTERN
from retrain.process.precision import FLOAT32, PRECISIONS

MAX_STEPS = 1_000_000_000
MAX_BATCH = 1_000_000
MAX_UNITS = 100_000
MAX_WEIGHT = 1_000_000
# TensorFlow's own rule for names of operations, but for the backslash, which it refuses when the graph is loaded.
NODE_NAME_PATTERN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*")


def _percentage(help_text: str) -> Any:
    return flag(help_text, 10, low=0, high=100, high_open=True)


def _batch_size(help_text: str, default: int) -> Any:
    return flag(help_text, default, low=1, high=MAX_BATCH, also=-1)


def _network_number(help_text: str, **limits: Any) -> Any:
    return flag(help_text, None, shown_default="as the network says", **limits)


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """All settings of one run. Building one checks every field.

    Raises:
        FlagError: one line for each field whose value is not allowed.
    """

    image_dir: str = flag("Folder that holds one folder of photos for each class.")
    output_graph: str = flag("Where to write the trained graph.", "/tmp/output_graph.pb")
    intermediate_output_graphs_dir: str = flag("Where to write the intermediate graphs.", "/tmp/intermediate_graph/")
    intermediate_store_frequency: int = flag("Write an intermediate graph every this many steps; 0 writes none.", 0, low=0)
    output_labels: str = flag("Where to write the labels, one a line.", "/tmp/output_labels.txt")
    summaries_dir: str = flag(
        "Where to write the summaries for TensorBoard; old event files there are removed.", "/tmp/retrain_logs"
    )
    how_many_training_steps: int = flag(
        "How many training steps to run; 0 only makes the bottlenecks and an untrained head.", 4000, low=0, high=MAX_STEPS
    )
    learning_rate: float = flag(
        "Step size of the optimizer; lbfgs finds its own.", 0.01, low=0, low_open=True, shown_default="0.01"
    )
    learning_rate_schedule: str = flag(
        "How the learning rate falls to the last step: constant stays, linear and cosine reach 0, exponential a hundredth.",
        "constant",
        choices=SCHEDULES,
    )
    optimizer: str = flag(
        "How the head is trained; momentum is 0.9, lbfgs takes all training images in every step.",
        "gradient_descent",
        choices=OPTIMIZERS,
    )
    hidden_units: str = flag(
        "Units of hidden layers before the softmax, such as 128,64.", "", may_be_empty=True, shown_default="no hidden layer"
    )
    dropout: float = flag(
        "Share of the values that each training step leaves out, after each hidden layer, or of the bottlenecks.",
        0.0,
        low=0,
        high=1,
        high_open=True,
    )
    l2: float = flag("What a weight's square adds to the loss, as Keras' l2 regulariser.", 0.0, low=0, high=1e6)
    label_smoothing: float = flag(
        "Share of each image's target that is spread over all classes.", 0.0, low=0, high=1, high_open=True
    )
    class_weights: str = flag(
        "What an image of a class counts, such as daisy=2,roses=0.5, others 1; or balanced: more in classes of fewer images.",
        "",
        may_be_empty=True,
        shown_default="each image counts 1",
    )
    early_stopping: int = flag(
        "End training after so many evaluations without a lower validation cross entropy, with the best one's head; 0 never.",
        0,
        low=0,
    )
    testing_percentage: int = _percentage("Percentage of the images to keep apart as the testing set.")
    validation_percentage: int = _percentage("Percentage of the images to keep apart as the validation set.")
    eval_step_interval: int = flag("Evaluate, log and write summaries every this many steps.", 10, low=1)
    train_batch_size: int = _batch_size("How many images a training step draws; -1 takes the whole set.", 100)
    test_batch_size: int = _batch_size("How many images the final test draws; -1 takes the whole set, each once.", -1)
    validation_batch_size: int = _batch_size("How many images an evaluation draws; -1 takes the whole set, each once.", 100)
    print_misclassified_test_images: bool = flag("List the test images that were labelled wrongly.", False)
    strict: bool = flag("End with an error, before training, if an image cannot be decoded; else it is skipped.", False)
    model_dir: str = flag("Folder of the networks' archives; a missing archive is downloaded into it.", "/tmp/imagenet")
    model_url_base: str | None = flag(
        "Address of a mirror: the archive's file name is appended to it.", None, shown_default="each network's own"
    )
    bottleneck_dir: str = flag("Folder of the cached bottlenecks.", "/tmp/bottleneck")
    final_tensor_name: str = flag("Name of the output in the exported graph.", "final_result")
    flip_left_right: bool = flag("Mirror half of the training images, at random.", False)
    random_crop: int = flag(
        "Percentage of margin to crop away at a random place from training images.", 0, low=0, high=100, high_open=True
    )
    random_scale: int = flag("Percentage by which to enlarge training images at most, at random.", 0, low=0, high=1000)
    random_brightness: int = flag(
        "Percentage by which to change the training images' brightness at most, at random.", 0, low=0, high=100
    )
    architecture: str | None = flag(
        "The network: inception_v3, mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized], tiny_resnet_128, "
        "pixels_<side>, or the path of a frozen graph.",
        None,
        shown_default="inception_v3, or tiny_resnet_128 where that cannot be had",
    )
    tfhub_module: str | None = flag(
        "The network as a TensorFlow Hub module: a folder, a .tar.gz archive or an address.", None, shown_default="none is used"
    )
    input_layer: str | None = flag("Name of the input in a local graph.", None, shown_default="found out")
    bottleneck_layer: str | None = flag(
        "Name of the layer in a local graph whose values are trained on.", None, shown_default="found out"
    )
    input_height: int | None = _network_number(
        "Height of the input of a local graph or a module, in pixels.", low=1, high=LARGEST_SIZE
    )
    input_width: int | None = _network_number(
        "Width of the input of a local graph or a module, in pixels.", low=1, high=LARGEST_SIZE
    )
    input_mean: float | None = _network_number("Grey level that a local graph or a module takes as 0.")
    input_std: float | None = _network_number("Grey levels that a local graph or a module takes as 1.", low=0, low_open=True)
    saved_model_dir: str = flag(
        "Where to write a SavedModel too; a folder that does not exist yet.",
        "",
        may_be_empty=True,
        shown_default="none is written",
    )
    export: tuple[str, ...] = flag(
        "Formats to write beside --output_graph too, for other runtimes; each is run and compared with the graph.",
        (),
        choices=EXPORTS,
        shown_default="none",
    )
    logging_verbosity: str = flag("Least severe message to print.", "INFO", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    checkpoint_path: str = flag("Prefix of the checkpoint files that hold the trained head.", "/tmp/_retrain_checkpoint")
    resume: bool = flag("Go on with the training that the checkpoint holds, if there is one.", False)
    precision: str = flag(
        "Number format of the network's computation; other than float32 is faster on processors with AMX, and less exact.",
        FLOAT32,
        choices=PRECISIONS,
    )
    bottleneck_batch_size: int | None = flag(
        "How many images go through the network together.",
        None,
        low=1,
        high=MAX_BATCH,
        shown_default="chosen to suit the network",
    )
    device: str | None = flag(
        "Processor to use: cpu, gpu, or one of several by its number, such as gpu:1.",
        None,
        shown_default="TensorFlow's choice: the first GPU where there is one",
    )
    timing_report: str = flag(
        "File to write the times of the phases to, as JSON.", "", may_be_empty=True, shown_default="none is written"
    )
    fine_tune_steps: int = flag(
        "After the head, train the network's own weights too, for so many steps; 0 leaves them as they are.",
        0,
        low=0,
        high=MAX_STEPS,
    )
    fine_tune_learning_rate: float = flag(
        "Highest step size of fine-tuning.", 0.0003, low=0, low_open=True, shown_default="0.0003"
    )
    fine_tune_batch_size: int = flag("How many images a step of fine-tuning draws.", 32, low=1, high=MAX_BATCH)
    fine_tune_layers: str | None = flag(
        "Fine-tune only weights in whose names this regular expression is found.", None, shown_default="all of them"
    )
    random_seed: int | None = flag(
        "Makes the run repeatable, bit for bit on one machine.",
        None,
        low=0,
        high=2**32,
        high_open=True,
        shown_default="differs in each run",
    )

    def __post_init__(self) -> None:
        check(self)
        if not NODE_NAME_PATTERN.fullmatch(self.final_tensor_name):
            raise FlagError(
                "--final_tensor_name must be letters, digits and _ . - / and begin with a letter, a digit or a dot. "
                f"Got {self.final_tensor_name}."
            )
        _check_training(self)
        _check_pattern("fine_tune_layers", self.fine_tune_layers)
        if self.device is not None and not DEVICE_PATTERN.fullmatch(self.device):
            raise FlagError(f"--device must be cpu, gpu or gpu:NUMBER. Got {self.device}.")
        check_network_flags(self.architecture, self.tfhub_module, self.network_flags)
        if self.output_graph == self.output_labels:
            raise FlagError(f"--output_graph and --output_labels must be different files. Got {self.output_graph} for both.")
        check_exports(self.export, self.output_graph, self.output_labels)
        if self.testing_percentage + self.validation_percentage >= 100:
            raise FlagError(
                "--testing_percentage and --validation_percentage must leave images to train on: their sum must be "
                f"below 100. Got {self.testing_percentage} + {self.validation_percentage}."
            )

    @property
    def network_flags(self) -> NetworkFlags:
        """What the user says of the network's layers and its input."""
        return NetworkFlags(
            input_layer=self.input_layer,
            bottleneck_layer=self.bottleneck_layer,
            input_height=self.input_height,
            input_width=self.input_width,
            input_mean=self.input_mean,
            input_std=self.input_std,
        )

    @property
    def training_options(self) -> TrainingOptions:
        """What the head and its training depend on."""
        return TrainingOptions(
            how_many_training_steps=self.how_many_training_steps,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            learning_rate_schedule=self.learning_rate_schedule,
            hidden_units=_units(self.hidden_units),
            dropout=self.dropout,
            l2=self.l2,
            label_smoothing=self.label_smoothing,
            class_weights=_class_weights(self.class_weights),
            early_stopping=self.early_stopping,
        )

    @property
    def batch_sizes(self) -> BatchSizes:
        """How much is drawn, and when."""
        return BatchSizes(
            self.train_batch_size, self.validation_batch_size, self.eval_step_interval, self.how_many_training_steps
        )

    @property
    def trains_on_bottlenecks_alone(self) -> bool:
        """Whether training never goes through the images, so that bottlenecks are all it takes."""
        return not self.distorts and not self.fine_tune_steps

    @property
    def distorts(self) -> bool:
        """Whether any distortion flag is on, so that training images are made afresh at each step."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))


def _check_training(config: RetrainConfig) -> None:
    """Raises FlagError where the texts of the head's flags say nothing, or flags do not go together."""
    options = config.training_options
    if config.early_stopping and not config.validation_percentage:
        raise FlagError("--early_stopping needs validation images: --validation_percentage must not be 0.")
    if options.optimizer == LBFGS and (options.dropout or config.distorts):
        raise FlagError("--optimizer lbfgs needs a loss that stays the same from step to step: no --dropout and no distortions.")


def _check_pattern(name: str, pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise FlagError(f"--{name} must be a regular expression ({error}). Got {pattern}.") from error


def _units(text: str) -> tuple[int, ...]:
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() and 1 <= int(part) <= MAX_UNITS for part in parts):
        raise FlagError(f"--hidden_units must be integers in [1, {MAX_UNITS}], joined by commas. Got {text}.")
    return tuple(int(part) for part in parts)


def _class_weights(text: str) -> dict[str, float] | str:
    if text.lower() == BALANCED:
        return BALANCED
    weights = {}
    for part in text.split(",") if text else []:
        label, _, number = part.rpartition("=")
        try:
            weights[label.strip()] = float(number)
        except ValueError:
            weights[""] = 0.0
    if "" in weights or not all(0 < weight <= MAX_WEIGHT for weight in weights.values()):
        raise FlagError(
            f"--class_weights must be {BALANCED}, or LABEL=NUMBER joined by commas, numbers in (0, {MAX_WEIGHT}]. Got {text}."
        )
    return weights
