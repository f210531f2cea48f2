"""The whole job, stage by stage. Read this file first; each import names the package that holds the stage."""

import logging

from retrain.backbones.backbone import Backbone
from retrain.backbones.load import load_network
from retrain.bottlenecks.cache import Bottlenecks
from retrain.bottlenecks.extract import load_bottlenecks, log_bottlenecks
from retrain.bottlenecks.spellings import warn_of_other_spelling
from retrain.config import RetrainConfig
from retrain.data.augment import DistortedLoader
from retrain.data.image_lists import create_image_lists, report_failed, save_split
from retrain.data.sampling import RandomGenerators
from retrain.data.split_record import record_split
from retrain.data.turned import to_be_turned
from retrain.evaluation.multi_label import DEFAULT_THRESHOLD
from retrain.export.classifier import classifier_graph, export_classifier, write_intermediate_graph
from retrain.files import write_atomically
from retrain.fine_tuning.images import load_images, new_bottlenecks
from retrain.fine_tuning.loop import fine_tune, trainable_network
from retrain.head.batches import Batches
from retrain.head.classifier import TrainedClassifier
from retrain.head.dataset import make_dataset
from retrain.head.evaluate import choose_thresholds, evaluate_head, report_test
from retrain.head.loop import train_head
from retrain.head.model import SigmoidHead, SoftmaxHead
from retrain.head.monitor import Monitor
from retrain.head.resume import open_checkpointer
from retrain.head.trainer import Trainer
from retrain.options.images import SPLITS
from retrain.preflight import check_network, check_outputs, check_run, training_identity
from retrain.process.progress import progressing
from retrain.process.timing import Timings
from retrain.report.page import write_report
from retrain.report.sections import sections_of, title_of
from retrain.result import RetrainResult
from retrain.runs.folder import in_run_dir, write_record
from retrain.tensorboard.events import clear_summaries_dir
from retrain.tensorboard.pages import Run, write_pages
from retrain.tensorboard.projector import Points

logger = logging.getLogger("retrain")


def run(config: RetrainConfig) -> RetrainResult:  # noqa: PLR0915 - all stages in order, in one place.
    """Run the whole job.

    Raises:
        RetrainError: the message names the file or flag, and says how to fix it.
    """
    timings, given = Timings(), config

    # ---- Preflight: everything that can fail before the work
    check_run(config)

    # ---- Image lists: the classes, and the set of each image. Nothing is written before they are known.
    images = create_image_lists(config, config.like_original)
    config = in_run_dir(config)
    check_outputs(config, images)
    if config.save_split:
        save_split(config.save_split, images)

    # ---- Backbone: the pretrained network
    paths = [image.path for image in images.images]
    backbone = load_network(config).with_work(paths, config.n_images_run(len(paths)))
    logger.info("Network %s.", backbone)
    spec = backbone.architecture.input_spec
    config = config.suited_to(backbone.architecture.learning_rate_scale)
    check_network(config, backbone, images.labels)
    turned = to_be_turned(paths, spec)
    trainable = trainable_network(config, backbone) if config.fine_tune_steps else None
    checkpointer = open_checkpointer(config, training_identity(config, images, backbone, turned), config.how_many_training_steps)
    if not checkpointer.steps_done:
        clear_summaries_dir(config.summaries_dir)

    # ---- Bottlenecks: from the cache, or made; distorted training images have none, since each step makes its own
    wanted = [index for index, image in enumerate(images.images) if not (config.distorts and image.split == "training")]
    with timings.phase("bottlenecks", "images") as phase, progressing("bottlenecks", len(wanted), "images"):
        bottlenecks = load_bottlenecks(config, images, backbone, wanted, turned)
        phase.count = bottlenecks.n_made + bottlenecks.n_read
    if config.splits_by_spelling:
        warn_of_other_spelling(config.bottleneck_dir, config.images_root)
    log_bottlenecks(bottlenecks, config.bottleneck_dir, phase.seconds)
    rngs = RandomGenerators(checkpointer.random_seed)
    failed = dict(bottlenecks.failed)
    distorted = None
    if config.distorts:
        files = {index: images.images[index].path for index in images.indices("training")}
        distorted = DistortedLoader(files, config, rngs.distortion, spec, config.bottleneck_batch_size)
        failed.update(distorted.failed)
    report_failed(images, failed, config)

    # ---- Head: trained on the bottlenecks
    data = make_dataset(images, bottlenecks, failed)
    split = record_split(images, config.images_root, set(range(len(images.images))).difference(failed), bottlenecks.digests)
    split.warn_of_copies()
    batches = Batches(config, data, rngs.of_split)
    head_class = SigmoidHead if images.multi_label else SoftmaxHead
    head = head_class(backbone.architecture.bottleneck_size, len(images.labels), rngs.head, config.hidden_units)
    thresholds = (DEFAULT_THRESHOLD,) * len(images.labels) if images.multi_label else ()
    classifier = TrainedClassifier(backbone, head, images.labels, config.final_tensor_name, thresholds, split)
    trainer = Trainer(config, images.labels, data.class_counts("training"), head, checkpointer.random_seed)
    first_step = checkpointer.restore(trainer)
    logger.info("Training on %s.", data)
    monitor = Monitor(head, batches.validation, config.summaries_dir, timings, first_step)
    steps = batches.distorted(distorted, backbone.run, first_step) if distorted else batches.training(first_step)
    with timings.phase("training", "steps") as phase, checkpointer.saved_if_interrupted(), monitor:
        monitor.add_graph(classifier_graph(classifier))
        with progressing("training", config.how_many_training_steps, "steps", first_step):
            train_head(trainer, steps, monitor, checkpointer, lambda step: write_intermediate_graph(config, classifier, step))
        phase.count = checkpointer.steps_done - first_step
    train_accuracy, validation_accuracy = monitor.train_accuracy, monitor.validation_accuracy
    monitor.warn_of_overfitting(len(data.members["validation"]), config.early_stopping > 0)
    classifier = choose_thresholds(classifier, batches.whole("validation"))

    # ---- Fine-tuning: the network's own weights, trained on the images. The checkpoint still holds the head from before.
    tested = batches.testing(config.test_batch_size)
    before = None
    if trainable:
        before = evaluate_head(head, tested.batch)
        if before:
            logger.info("Test accuracy before fine-tuning = %.1f%% (N=%d)", before.accuracy * 100, before.count)
        with timings.phase("fine_tuning", "steps") as phase:
            checkpointer.try_to_save()
            with checkpointer.saved_if_interrupted(remark="Fine-tuning will start again."):
                tuning_images = load_images(config, images, data, spec, rngs.fine_tuning)
                with progressing("fine_tuning", config.fine_tune_steps, "steps"):
                    tuned = fine_tune(config, classifier, trainable, tuning_images, trainer)
            phase.count = config.fine_tune_steps
        classifier = tuned.classifier
        train_accuracy, validation_accuracy = tuned.train_accuracy, tuned.validation_accuracy

    # ---- Evaluation: the final test
    with timings.phase("evaluation", "images") as phase:
        if trainable:
            tested = new_bottlenecks(images, tested, classifier.backbone)
        report = report_test(config, classifier, tested, images)
        phase.count += len(tested)  # Besides the validation images during training.

    # ---- Export: the graph, the labels, and the conversions for other runtimes
    with timings.phase("export"):
        photos = {split: [images.images[index].path for index in images.indices(split)] for split in SPLITS}
        conversions = export_classifier(config, classifier, checkpointer, photos)
    _report_times(config, timings, bottlenecks, backbone)

    result = RetrainResult(
        labels=images.labels,
        architecture=backbone.architecture.name,
        note=backbone.note,
        n_images={split: len(members) for split, members in data.members.items()},
        skipped={images.images[index].path: reason for index, reason in failed.items()},
        n_bottlenecks_made=bottlenecks.n_made,
        n_bottlenecks_read=bottlenecks.n_read,
        train_accuracy=train_accuracy,
        validation_accuracy=validation_accuracy,
        history=tuple(monitor.history),
        warnings=tuple(monitor.warnings),
        report=report,
        test_before_fine_tuning=before,
        output_graph=config.output_graph,
        output_labels=config.output_labels,
        output_split=config.output_split,
        output_report=config.output_report,
        saved_model_dir=config.saved_model_dir,
        conversions=conversions,
        checkpoint_path=config.checkpoint_path,
        n_trained_numbers=head.size,
        summaries_dir=config.summaries_dir,
        bottleneck_dir=config.bottleneck_dir,
        seconds=timings.seconds,
    )
    write_record(config, result.to_dict())

    # ---- Report: what a person looks at, in TensorBoard and as a page
    measures = {} if validation_accuracy is None else {"validation_accuracy": validation_accuracy}
    finished = Run(given, config, backbone.architecture.name, max(checkpointer.steps_done - 1, 0), report, measures)
    write_pages(finished, Points(images, bottlenecks, [index for index in wanted if index not in failed]))
    if result.output_report:
        write_report(result.output_report, title_of(result.labels), sections_of(given, result, backbone.architecture))
    return result


def _report_times(config: RetrainConfig, timings: Timings, bottlenecks: Bottlenecks, backbone: Backbone) -> None:
    if config.timing_report:
        about = {
            "architecture": backbone.architecture.name,
            "precision": config.precision,
            "device": config.device,
            "bottlenecks_made": bottlenecks.n_made,
            "bottlenecks_read": bottlenecks.n_read,
        }
        write_atomically(config.timing_report, timings.to_json(about).encode())
    logger.info("Time: %s.", timings)
