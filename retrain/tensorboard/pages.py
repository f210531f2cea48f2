"""TensorBoard's pages of a finished run: the test's pictures and tables, the options, HParams, and the bottlenecks."""

import dataclasses
import os
from collections.abc import Mapping

from retrain.config import RetrainConfig
from retrain.errors import OutputError, shown
from retrain.evaluation.answers import Report
from retrain.evaluation.metrics import Evaluation
from retrain.options.command_line import given_names
from retrain.options.flags import flags_of, group_of
from retrain.options.groups import AUGMENTATION, FINE_TUNING, HEAD, NETWORK
from retrain.tensorboard.confusion_picture import confusion_picture
from retrain.tensorboard.events import SummaryWriter, clear_summaries_dir
from retrain.tensorboard.hparams import end_summary, start_summary
from retrain.tensorboard.photo_sheet import MOST_PHOTOS, photo_sheet
from retrain.tensorboard.projector import Points, write_projector
from retrain.tensorboard.tables import LONGEST_TEXT, classes_table, options_table

TEST, CLASSES = "test", "test_classes"  # Folders, and so TensorBoard's names for runs.
MOST_CLASSES = 50  # With scalars of their own; the table has more.
# Options that HParams shows in each run, and those that it shows if they were given.
ALWAYS = ("architecture", "how_many_training_steps", "learning_rate", "optimizer", "train_batch_size")
GROUPS = (NETWORK, HEAD, AUGMENTATION, FINE_TUNING)


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        given, used: the configuration as it was given, and with what was left to the run.
        network: name of the network.
        step: index of the last training step.
        report: the answers to the test images; None if there are none.
        measures: further measures by name, for HParams.
    """

    given: RetrainConfig
    used: RetrainConfig
    network: str
    step: int
    report: Report | None
    measures: Mapping[str, float]


def write_pages(run: Run, points: Points) -> None:
    """Write all of it in `test` and `test_classes` of the folder of summaries, in place of what is there.

    Raises:
        OutputError: it cannot be written.
    """
    folder, classes_folder = (os.path.join(run.used.summaries_dir, name) for name in (TEST, CLASSES))
    clear_summaries_dir(folder)
    try:
        with SummaryWriter(folder) as writer:
            _write_options(writer, run)
            if run.report:
                _write_test(writer, run.report, run.step)
            writer.add_measures(run.step, run.measures)
            writer.add_summary(end_summary())
        if run.report:
            clear_summaries_dir(classes_folder)
            with SummaryWriter(classes_folder) as writer:
                writer.add_measures(run.step, class_measures(run.report))
        write_projector(folder, points, run.report, run.used.images_root, run.used.bottleneck_dir)
    except OSError as error:
        raise OutputError(f"--summaries_dir {error.filename or folder} cannot be written ({error.strerror}).") from error


def _write_options(writer: SummaryWriter, run: Run) -> None:
    writer.add_summary(start_summary(hyper_parameters(run)))
    writer.add_text(run.step, "options", options_table(run.given, run.used))


def _write_test(writer: SummaryWriter, report: Report, step: int) -> None:
    found = report.measures
    writer.add_measures(step, {"accuracy_1": found.accuracy, "cross_entropy_1": found.cross_entropy})
    writer.add_text(step, "classes", classes_table(report))
    if isinstance(found, Evaluation):
        writer.add_image(step, "test/confusion_matrix", confusion_picture(report.labels, found), "PNG")
    else:
        writer.add_measures(step, {"mean_average_precision": found.mean_average_precision})
    sheets = {  # TensorBoard shows tags with the same beginning in one group, whose pictures are all open.
        "test/mistakes": (report.mistakes, "misclassified test images, the worst first\nBelow each: label, prediction, score"),
        "test/most_confident": (report.most_confident, "correct test images, the most confident first\nBelow each: label, score"),
    }
    for tag, (answers, title) in sheets.items():
        if chosen := answers[:MOST_PHOTOS]:
            count = len(answers) if len(chosen) == len(answers) else f"{len(chosen)} of {len(answers)}"
            writer.add_image(step, tag, photo_sheet(f"{count} {title}", chosen, report.labels), "JPEG")


def class_measures(report: Report) -> dict[str, float]:
    """Return recall, precision and the like of each class by tag; of more than 50 classes, of those with the lowest recall."""
    return {
        f"{name}/{shown(row['label'])[:LONGEST_TEXT]}": value
        for row in report.class_rows(MOST_CLASSES)
        for name, value in row.items()
        if name not in ("label", "images") and value is not None
    }


def hyper_parameters(run: Run) -> dict[str, float | str]:
    """Return the options that HParams shows: some always, others of the network and its training if they were given."""
    flags, values = flags_of(RetrainConfig), dict[str, float | str]()
    changed = [name for name in given_names(run.given) if group_of(RetrainConfig, name) in GROUPS and not flags[name].path]
    for name in (*ALWAYS, *(name for name in changed if name not in ALWAYS)):
        value = run.network if name == "architecture" else getattr(run.used, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        values[name] = float(value) if is_number else shown(flags[name].to_text(value))[:LONGEST_TEXT]
    return values
