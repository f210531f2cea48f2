"""Checks of everything that can fail before the work begins: packages, devices, output paths, sizes."""

import logging
import os
from collections.abc import Collection, Sequence
from typing import Any

from retrain.backbones.backbone import Backbone
from retrain.config import RetrainConfig
from retrain.data.image_lists import ImageLists
from retrain.data.split_record import may_be_replaced
from retrain.errors import OutputError
from retrain.export.frozen_graph import check_final_tensor_name, check_graph_size
from retrain.graphdef import precision_effect
from retrain.head.trainer import check_class_weights, scipy_minimize
from retrain.options.export_formats import check_packages, export_path
from retrain.options.head import LBFGS
from retrain.process.device import prepare_device
from retrain.process.output_paths import prepare_cache, prepare_file, prepare_folder, prepare_new_folder
from retrain.process.precision import FLOAT32, prepare_precision, processor_gains
from retrain.report.page import lists_folder, report_may_be_written

logger = logging.getLogger("retrain")


def check_run(config: RetrainConfig) -> None:
    """Set up precision and device, and check packages. Nothing is written.

    Raises:
        FlagError: a device or a package is missing.
    """
    prepare_precision(config.precision)
    prepare_device(config.device)
    precision_effect.check_processor(config.precision)
    if config.precision != FLOAT32 and not processor_gains():
        logger.warning("This processor has no AMX: --precision=%s will hardly be faster than float32.", config.precision)
    if config.optimizer == LBFGS:
        scipy_minimize()
    check_packages(config.export)


def check_outputs(config: RetrainConfig, images: ImageLists) -> None:
    """Create the folders of the outputs.

    Raises:
        OutputError: an output could not be written, or something that is no output of a run would be lost.
    """
    photos = {os.path.realpath(image.path) for image in images.images}
    for flag in ("output_graph", "output_labels", "checkpoint_path", "timing_report", "save_split"):
        if path := getattr(config, flag):
            if os.path.exists(path) and os.path.realpath(path) in photos:
                raise OutputError(f"--{flag} must not be one of the images, which would be lost. Got {path}.")
            prepare_file(flag, path)
    if not may_be_replaced(config.output_split):
        raise OutputError(
            f"{config.output_split} would be lost: the record of the split is written there, beside --output_graph. Move it "
            "away, or give --output_graph another name."
        )
    prepare_file("output_graph", config.output_split)
    if config.output_report:
        prepare_file("report", config.output_report)
        if not report_may_be_written(config.output_report):
            raise OutputError(
                f"--report {config.output_report} would replace a file that is no report. Move it away, or give another place by "
                "--report; an empty one writes no report."
            )
        lists = lists_folder(config.output_report)
        prepare_folder("report", lists)
        if not os.path.exists(config.output_report) and any(name.endswith(".csv") for name in os.listdir(lists)):
            raise OutputError(
                f"--report: the folder {lists}, where the lists of the report are written, has tables of another kind. Move it "
                "away, or give another place by --report; an empty one writes no report."
            )
    prepare_cache("bottleneck_dir", config.bottleneck_dir)
    prepare_folder("summaries_dir", config.summaries_dir)
    if config.intermediate_store_frequency:
        prepare_folder("intermediate_output_graphs_dir", config.intermediate_output_graphs_dir)
    if config.saved_model_dir:
        prepare_new_folder("saved_model_dir", config.saved_model_dir)
    for format in config.export:
        prepare_file("export", export_path(config.output_graph, format))


def check_network(config: RetrainConfig, backbone: Backbone, labels: Sequence[str]) -> None:
    """Check the network against the options and the labels of the classes.

    Raises:
        FlagError: the network ignores the precision, or has an operation named `final_tensor_name`, or `class_weights` names a
            label that does not exist.
        ModelError: the network with a head on it could not be exported.
    """
    check_class_weights(config.class_weights, labels)
    precision_effect.check_network(config.precision, backbone.graph_def)
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    check_graph_size(backbone.size, [backbone.architecture.bottleneck_size, *config.hidden_units, len(labels)])


def training_identity(
    config: RetrainConfig, images: ImageLists, backbone: Backbone, turned: Collection[int] = ()
) -> dict[str, Any]:
    """Return the settings, by name, that must match for a training to be resumed; fit for JSON.

    `turned` has the indices of the images that are turned upright.
    """
    return {
        "image_dir": config.image_dir,
        "testing_percentage": config.testing_percentage,
        "validation_percentage": config.validation_percentage,
        "labels": list(images.labels),
        "images": f"{images.digest}, {len(turned)} turned upright" if turned else images.digest,
        "network": backbone.fingerprint,
        "hidden_units": list(config.hidden_units),
        "optimizer": config.optimizer,
    }
