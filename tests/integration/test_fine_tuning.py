"""`python -m retrain --fine_tune_steps`, run as a user runs it."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from retrain.backbones.published import BUNDLED_FILE
from retrain.graphdef.portable import portable
from retrain.graphdef.subgraph import subgraph
from retrain.graphdef.tensorflow_form import from_tensorflow
from tests.conftest import RunCli
from tests.support.commands import (
    FINAL_WEIGHTS,
    TINY_RESNET_LINE,
    Outputs,
    TrainingRun,
    assert_succeeded,
    constant,
    final_test_accuracy,
    read_graph,
)
from tests.support.running import Running

pytestmark = pytest.mark.slow

SMALL = ["--architecture=tiny_resnet_128", "--how_many_training_steps=50"]
BEFORE = re.compile(r"(?m)^Test accuracy before fine-tuning = (\d+\.\d)% \(N=(\d+)\)$")
FINE_STEP = re.compile(r"(?m)^\d{4}-.*: Fine-tuning step (\d+): (Train|Validation) accuracy = \d+\.\d%( \(N=\d+\))?$")


def test_the_log(fine_tuned_run: TrainingRun) -> None:
    [(_, before)] = BEFORE.findall(fine_tuned_run.log)
    assert int(before) == final_test_accuracy(fine_tuned_run.log)[1] > 0
    assert [(int(step), kind) for step, kind, _ in FINE_STEP.findall(fine_tuned_run.log)] == [(0, "Train"), (2, "Train")]
    assert re.search(
        r"(?m)^Fine-tuned 22 weights of the network in 3 steps \(\d+ ms a step\); the weights after step 3 are kept\.$",
        fine_tuned_run.log,
    )


def test_label_image_finds_the_accuracy_that_was_logged(fine_tuned_run: TrainingRun, run_cli: RunCli, small_photos: Path) -> None:
    """The test set by its own rule; the percentage to one decimal."""
    from retrain.data.image_lists import create_image_lists
    from retrain.options.images import ImageOptions

    options = ImageOptions(image_dir=str(small_photos), testing_percentage=50, validation_percentage=0)
    lists = create_image_lists(options, like_original=False)
    tested = [lists.images[place] for place in lists.indices("testing")]
    flags = [
        f"--graph={fine_tuned_run.outputs.graph}",
        f"--labels={fine_tuned_run.outputs.labels}",
        "--output_format=json",
        "--top_k=1",
    ]
    process = run_cli("label_image", *flags, "--image", *(image.path for image in tested))
    assert_succeeded(process)
    answers = [answer["predictions"][0]["label"] for answer in json.loads(process.stdout)]
    right = [lists.labels[image.class_index] == answer for image, answer in zip(tested, answers, strict=True)]
    assert final_test_accuracy(fine_tuned_run.log) == (round(100 * float(np.mean(right)), 1), len(tested))


def test_the_graph_is_the_networks_with_other_numbers(fine_tuned_run: TrainingRun) -> None:
    """The same nodes in the same order, of the same types and shapes."""
    before = portable(subgraph(from_tensorflow(read_graph(BUNDLED_FILE)), ["TinyResnet/bottleneck"]))
    after = list(read_graph(fine_tuned_run.outputs.graph).node)[: len(before.node)]
    changed = 0
    for old, new in zip(before.node, after, strict=True):
        assert (old.name, old.op, list(old.input), set(old.attr)) == (new.name, new.op, list(new.input), set(new.attr))
        if old.op == "Const":
            old_tensor, new_tensor = old.attr["value"].tensor, new.attr["value"].tensor
            assert old_tensor.dtype == new_tensor.dtype
            assert old_tensor.tensor_shape.SerializeToString() == new_tensor.tensor_shape.SerializeToString()
            changed += old_tensor.tensor_content != new_tensor.tensor_content
    assert changed == 22


def test_the_checkpoint_holds_the_head_of_the_frozen_network(fine_tuned_run: TrainingRun) -> None:
    """So that --resume has a head that fits the network it comes back to."""
    from retrain.head.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(str(fine_tuned_run.outputs.checkpoint))
    assert checkpoint
    assert checkpoint.step == 20
    assert not np.allclose(checkpoint.variables[0], constant(read_graph(fine_tuned_run.outputs.graph), FINAL_WEIGHTS))


def test_the_summaries_have_their_own_folders(fine_tuned_run: TrainingRun) -> None:
    folders = sorted(path.name for path in fine_tuned_run.outputs.summaries.iterdir())
    assert folders == ["fine_tuning_train", "fine_tuning_validation", "test", "test_classes", "train", "validation"]


def test_ctrl_c_keeps_the_head(small_photos: Path, run_cli: RunCli, tmp_path: Path) -> None:
    """It ends at once, in the middle of a step that takes a second or more, and resumes from the head."""
    outputs = Outputs(tmp_path)
    flags = [f"--image_dir={small_photos}", *SMALL, *outputs.flags()]
    with Running(tmp_path / "log", *flags, "--fine_tune_steps=1000", "--fine_tune_batch_size=48") as running:
        running.wait_until(lambda: "Fine-tuning begins" in running.log)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
        assert running.log.endswith(
            "\nStopped. Run the same command with --resume to continue after step 50. Fine-tuning will start again.\n"
        )
    process = run_cli("retrain", *flags, "--fine_tune_steps=1", "--fine_tune_batch_size=2", "--resume")
    assert_succeeded(process)
    assert "Training resumes after step 50 of " in process.stderr
    assert "Fine-tuned 22 weights of the network in 1 steps" in process.stderr


def test_a_pattern_that_matches_nothing(small_photos: Path, run_cli: RunCli, tmp_path: Path) -> None:
    """Before any photo is looked into."""
    flags = ["--fine_tune_steps=1", "--fine_tune_layers=Logits"]
    process = run_cli("retrain", f"--image_dir={small_photos}", *SMALL, *flags, *Outputs(tmp_path).flags())
    assert process.returncode == 2
    assert process.stderr == TINY_RESNET_LINE + (
        "error: --fine_tune_layers must match the name of at least one of the 22 weights of tiny_resnet_128, such as "
        "TinyResnet/conv0/weights/half, TinyResnet/res1/a/biases/half, TinyResnet/res2/a/weights/half, "
        "TinyResnet/conv3/biases/half, TinyResnet/conv4/weights/half. Got Logits.\n"
    )
