"""`python -m retrain`, run as a user runs it, against what the original made of the same photos."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import retrain
from retrain.data.decode import image_from_file
from retrain.evaluation.metrics import Evaluation
from retrain.input_spec import InputSpec
from tests.conftest import MOBILENET_ARCHIVE, SMALL_CLASSES, SMALL_SPLIT, RunCli
from tests.support.commands import (
    DEAD_URL,
    DIRECT,
    FINAL_BIASES,
    FINAL_WEIGHTS,
    FLOWERS,
    MOBILENET,
    ROOT,
    Outputs,
    TrainingRun,
    assert_succeeded,
    bottleneck_counts,
    constant,
    copy_files,
    final_test_accuracy,
    misclassified,
    own_environment,
    read_bottleneck,
    read_graph,
    step_lines,
)
from tests.support.stand_ins import run_in_v1_session

pytestmark = pytest.mark.slow

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
SMALL_TRAINING, SMALL_OTHERS = len(SMALL_CLASSES) * SMALL_SPLIT["training"], len(SMALL_CLASSES) * 6
N_SMALL = SMALL_TRAINING + SMALL_OTHERS

# Every kind of line in the log of a run in which nothing is amiss.
OWN_LINES = re.compile(
    r"Network mobilenet_0\.25_128: .*|\d+ of 600 bottlenecks made\."
    r"|600 bottlenecks made, 0 read from .*|Training on .* of 5 classes\.|[-\d]{10} .*: Step \d+: .*"
    r"|Save intermediate result to : .*|Final test accuracy = .*|=== MISCLASSIFIED TEST IMAGES ===| *\.\./shared/.*jpg  \w+"
    r"| +images  recall  precision|\w+ +\d+ +[\d.]+% +[\d.]+%|WARNING: The head fits its training images .*"
    r"|WARNING: The validation cross entropy was lowest near step .*"
    r"|SavedModel .*: \d+ of \d+ test images get the graph's label; largest difference of a score \d\.\d{4}\."
    r"|The set of each image is in .*_split\.csv\.|Graph written to .*, labels to .*\.|Time: .*\."
)


@pytest.fixture(scope="module")
def seeded_results(
    mobilenet_run: TrainingRun, flowers_cwd: Path, mobilenet_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, retrain.RetrainResult]:
    """Repeat the command's training from Python, on the command's cache, with the seeds 1 to 5."""
    results = {}
    for seed in range(1, 6):
        settings = Outputs(tmp_path_factory.mktemp("seeded")).settings()
        settings["bottleneck_dir"] = str(mobilenet_run.outputs.bottlenecks)
        config = retrain.RetrainConfig(
            image_dir=FLOWERS, architecture=MOBILENET, model_dir=str(mobilenet_model_dir), random_seed=seed, **settings
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(flowers_cwd)
            results[seed] = retrain.run(config)
    return results


def weights_of(result: retrain.RetrainResult) -> np.ndarray:
    return constant(read_graph(Path(result.output_graph)), FINAL_WEIGHTS)


class TestSplit:
    def test_is_the_originals(self, mobilenet_run: TrainingRun, reference_dir: Path) -> None:
        with open(reference_dir / "split.tsv", encoding="utf-8") as file:
            counts = Counter(row["set"] for row in csv.DictReader(file, delimiter="\t"))
        assert counts == {"training": 476, "validation": 64, "testing": 60}  # What the original's own run made of them.
        assert "Training on 476 training + 64 validation + 60 testing images of 5 classes.\n" in mobilenet_run.log

    def test_tests_only_testing_images(self, mobilenet_run: TrainingRun, reference_dir: Path) -> None:
        with open(reference_dir / "split.tsv", encoding="utf-8") as file:
            testing = {row["path"] for row in csv.DictReader(file, delimiter="\t") if row["set"] == "testing"}
        wrong = {path for path, _ in misclassified(mobilenet_run.log)}
        assert wrong and wrong < testing


class TestBottlenecks:
    def test_all_are_made_at_first(self, mobilenet_run: TrainingRun) -> None:
        assert bottleneck_counts(mobilenet_run.log) == (600, 0)
        assert len(list(mobilenet_run.outputs.bottlenecks.glob("*/*.txt"))) == 600

    def test_are_the_originals(self, mobilenet_run: TrainingRun, reference_dir: Path) -> None:
        references = sorted((reference_dir / "bottlenecks").glob("*/*.txt"))
        assert len(references) == 30
        for reference in references:
            ours = mobilenet_run.outputs.bottlenecks / reference.parent.name / reference.name
            np.testing.assert_allclose(read_bottleneck(ours), read_bottleneck(reference), rtol=0, atol=1e-4)

    def test_none_is_made_twice(
        self, mobilenet_run: TrainingRun, run_cli: RunCli, flowers_cwd: Path, mobilenet_model_dir: Path, tmp_path: Path
    ) -> None:
        cache = mobilenet_run.outputs.bottlenecks
        process = _train_flowers(run_cli, flowers_cwd, mobilenet_model_dir, tmp_path, cache, "--how_many_training_steps=5")
        assert f"0 bottlenecks made, 600 read from {cache} (" in process.stderr
        assert "bottlenecks made.\n" not in process.stderr  # The progress line of a run that makes some.

    def test_those_of_the_original_are_read(
        self, run_cli: RunCli, flowers_cwd: Path, mobilenet_model_dir: Path, reference_dir: Path, tmp_path: Path
    ) -> None:
        cache = tmp_path / "cache"
        copy_files(reference_dir / "bottlenecks", cache)
        process = _train_flowers(run_cli, flowers_cwd, mobilenet_model_dir, tmp_path, cache, "--how_many_training_steps=5")
        assert bottleneck_counts(process.stderr) == (570, 30)
        assert "WARNING" not in process.stderr
        for reference in (reference_dir / "bottlenecks").glob("*/*.txt"):
            assert (cache / reference.parent.name / reference.name).read_bytes() == reference.read_bytes()

    def test_an_interrupted_run_is_gone_on_with(
        self, run_cli: RunCli, flowers_cwd: Path, mobilenet_model_dir: Path, tmp_path: Path
    ) -> None:
        code, log = _interrupt_at_the_first_line(flowers_cwd, mobilenet_model_dir, tmp_path)
        assert code == 130  # 128 + SIGINT, as shells say it.
        assert log.endswith("Stopped. Finished bottlenecks are kept: run the same command again to continue.\n")
        assert "Traceback" not in log
        said = max(int(text) for text in re.findall(r"(?m)^(\d+) of 600 bottlenecks made\.$", log))

        cache = Outputs(tmp_path).bottlenecks
        process = _train_flowers(run_cli, flowers_cwd, mobilenet_model_dir, tmp_path, cache, "--how_many_training_steps=0")
        made, read = bottleneck_counts(process.stderr)
        assert read >= said and made + read == 600
        assert "WARNING" not in process.stderr  # No half-written file was left behind.


class TestLog:
    def test_speaks_of_the_originals_steps_in_the_originals_words(self, mobilenet_run: TrainingRun) -> None:
        lines = step_lines(mobilenet_run.log)
        steps = [*range(0, 4000, 10), 3999]
        expected = [(step, measure) for step in steps for measure in ("train", "entropy", "validation")]
        assert [(line.step, line.measure) for line in lines] == expected
        assert {line.count for line in lines if line.measure == "validation"} == {100}  # The flag's default.

    def test_shows_that_the_head_learns(self, mobilenet_run: TrainingRun) -> None:
        lines = step_lines(mobilenet_run.log)
        first, last = ({line.measure: line.value for line in part} for part in (lines[:3], lines[-3:]))
        assert last["train"] >= 97  # The original ends at 100 on these photos: there are twice as many weights as values.
        assert last["entropy"] < first["entropy"] / 10
        assert last["validation"] >= 60 > 20 + first["train"] / 5  # 20 is chance.

    def test_names_each_wrong_image_and_its_label(
        self, mobilenet_run: TrainingRun, seeded_results: dict[int, retrain.RetrainResult]
    ) -> None:
        percentage, count = final_test_accuracy(mobilenet_run.log)
        wrong = misclassified(mobilenet_run.log)
        assert count == 60
        assert len(wrong) == round(60 * (1 - percentage / 100))
        result = seeded_results[1]  # The same training: same seed, same bottlenecks.
        assert isinstance(result.test, Evaluation)
        assert len(wrong) == 60 - result.test.confusion.trace()
        assert tuple(wrong) == result.misclassified

    def test_the_exported_graph_gives_the_labels_that_the_log_named(
        self, mobilenet_run: TrainingRun, run_cli: RunCli, flowers_cwd: Path
    ) -> None:
        wrong = dict(misclassified(mobilenet_run.log))
        flags = ["--output_format=json", "--top_k=1", f"--graph={mobilenet_run.outputs.graph}"]
        process = run_cli("label_image", *flags, "--image", *wrong, cwd=flowers_cwd)
        assert_succeeded(process)
        assert {answer["image"]: answer["predictions"][0]["label"] for answer in json.loads(process.stdout)} == wrong

    def test_goes_to_stderr_alone(self, mobilenet_run: TrainingRun) -> None:
        assert mobilenet_run.process.stdout == ""

    def test_holds_no_line_of_tensorflows_own(self, mobilenet_run: TrainingRun) -> None:
        foreign = [line for line in mobilenet_run.log.splitlines() if not OWN_LINES.fullmatch(line)]
        assert foreign == []


class TestSeed:
    def test_same_seed_gives_the_same_head_to_the_last_bit(
        self, mobilenet_run: TrainingRun, seeded_results: dict[int, retrain.RetrainResult]
    ) -> None:
        """In another process, and from bottlenecks that went through the cache's text."""
        graphs = [read_graph(mobilenet_run.outputs.graph), read_graph(Path(seeded_results[1].output_graph))]
        for name in (FINAL_WEIGHTS, FINAL_BIASES):
            first, second = (constant(graph, name) for graph in graphs)
            assert first.tobytes() == second.tobytes()

    def test_other_seeds_give_other_heads(self, seeded_results: dict[int, retrain.RetrainResult]) -> None:
        assert len({weights_of(result).tobytes() for result in seeded_results.values()}) == 5


class TestResult:
    def test_the_accuracy_is_the_originals(self, seeded_results: dict[int, retrain.RetrainResult]) -> None:
        """The original had 71.7% and 70.0% on these 60 test images in its two runs, 70.8% in the mean."""
        accuracies = [result.test_accuracy or 0 for result in seeded_results.values()]
        assert 100 * np.mean(accuracies) == pytest.approx(70.8, abs=3)

    def test_says_what_was_done(self, seeded_results: dict[int, retrain.RetrainResult], mobilenet_run: TrainingRun) -> None:
        result = seeded_results[1]
        assert (result.labels, result.architecture, result.note) == (LABELS, MOBILENET, "")
        assert result.n_images == {"training": 476, "validation": 64, "testing": 60}
        assert (result.n_bottlenecks_made, result.n_bottlenecks_read, result.skipped) == (0, 600, {})
        assert result.seconds.keys() == {"bottlenecks", "training", "evaluation", "export"}
        assert Path(result.output_labels).read_text(encoding="utf-8") == "".join(f"{label}\n" for label in LABELS)
        assert result.saved_model_dir is None

    def test_its_accuracies_are_those_that_the_command_logged(
        self, seeded_results: dict[int, retrain.RetrainResult], mobilenet_run: TrainingRun
    ) -> None:
        result = seeded_results[1]
        train, _, validation = step_lines(mobilenet_run.log)[-3:]
        assert result.train_accuracy == pytest.approx(train.value / 100)
        assert result.validation_accuracy == pytest.approx(validation.value / 100)
        assert final_test_accuracy(mobilenet_run.log) == (round(100 * (result.test_accuracy or 0), 1), 60)

    def test_its_confusion_counts_every_test_image_once(
        self, seeded_results: dict[int, retrain.RetrainResult], reference_dir: Path
    ) -> None:
        with open(reference_dir / "split.tsv", encoding="utf-8") as file:
            testing = Counter(row["label"] for row in csv.DictReader(file, delimiter="\t") if row["set"] == "testing")
        for result in seeded_results.values():
            assert isinstance(result.test, Evaluation)
            assert result.test.confusion.sum() == result.test.count == 60
            assert dict(zip(LABELS, result.test.confusion.sum(axis=1).tolist(), strict=True)) == testing
            assert result.test.accuracy == pytest.approx(result.test.confusion.trace() / 60)


class TestOutputs:
    def test_labels_are_in_class_order(self, mobilenet_run: TrainingRun, reference_dir: Path) -> None:
        assert mobilenet_run.outputs.labels.read_bytes() == (reference_dir / "original_retrained_labels.txt").read_bytes()

    def test_the_graph_has_the_originals_nodes(self, mobilenet_run: TrainingRun, reference_dir: Path) -> None:
        ours = {node.name: node.op for node in read_graph(mobilenet_run.outputs.graph).node}
        original = {node.name: node.op for node in read_graph(reference_dir / "original_retrained_graph.pb").node}
        assert ours.pop("retrain_description") == "Const"
        # The reference was made by TensorFlow 1.15; older readers know the same operation as Add only.
        assert original.pop("final_training_ops/Wx_plus_b/add") == "AddV2"
        assert ours.pop("final_training_ops/Wx_plus_b/add") == "Add"
        assert ours == original

    def test_intermediate_graphs_are_written_at_their_steps(self, mobilenet_run: TrainingRun) -> None:
        folder = mobilenet_run.outputs.folder / "intermediate"
        assert sorted(path.name for path in folder.iterdir()) == ["intermediate_1500.pb", "intermediate_3000.pb"]
        for name in ("intermediate_1500.pb", "intermediate_3000.pb"):
            assert f"Save intermediate result to : {folder / name}\n" in mobilenet_run.log

    def test_intermediate_graphs_hold_the_head_on_its_way(self, mobilenet_run: TrainingRun) -> None:
        folder = mobilenet_run.outputs.folder / "intermediate"
        paths = [folder / "intermediate_1500.pb", folder / "intermediate_3000.pb", mobilenet_run.outputs.graph]
        early, late, final = (constant(read_graph(path), FINAL_WEIGHTS) for path in paths)
        assert 0 < np.abs(final - late).mean() < np.abs(final - early).mean()

    def test_the_saved_model_answers_as_the_graph(self, mobilenet_run: TrainingRun, flower_photos: Path) -> None:
        photos = [sorted((flower_photos / label).glob("*.jpg"))[0] for label in LABELS]
        pixels = np.stack([image_from_file(str(photo), InputSpec(128, 128, 127.5, 127.5)) for photo in photos])
        signature = tf.saved_model.load(str(mobilenet_run.outputs.folder / "saved_model")).signatures["serving_default"]
        scores = signature(image=tf.constant(pixels))["prediction"].numpy()
        graph = read_graph(mobilenet_run.outputs.graph)
        one_by_one = [run_in_v1_session(graph, {"input:0": each[np.newaxis]}, "final_result:0")[0] for each in pixels]
        np.testing.assert_allclose(scores, one_by_one, atol=1e-5)
        assert (scores.argmax(axis=1) == np.arange(5)).sum() >= 4  # At least 4 of them are training photos.

    def test_the_checkpoint_holds_the_head(self, mobilenet_run: TrainingRun) -> None:
        checkpoint = tf.train.load_checkpoint(str(mobilenet_run.outputs.checkpoint))
        graph = read_graph(mobilenet_run.outputs.graph)
        for name in (FINAL_WEIGHTS, FINAL_BIASES):
            np.testing.assert_array_equal(checkpoint.get_tensor(name), constant(graph, name))
        assert checkpoint.get_tensor("global_step") == 4000

    def test_a_checkpoint_that_cannot_be_written_is_an_error_in_words(
        self, run_cli: RunCli, small_photos: Path, tmp_path: Path
    ) -> None:
        outputs = Outputs(tmp_path)
        blocked = outputs.checkpoint.with_name("head.index")
        blocked.mkdir(parents=True)
        flags = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=0"]
        process = run_cli("retrain", *flags, *outputs.flags())
        assert process.returncode == 1
        assert process.stderr.endswith(
            f"\nerror: --checkpoint_path {outputs.checkpoint} cannot be written (Is a directory). "
            "Make room, or give another place."
            "\nFinished bottlenecks are kept: run the same command again.\n"
        )
        assert outputs.graph.exists() and outputs.labels.exists(), "the other outputs are written all the same"

    def test_nothing_half_written_is_left(self, mobilenet_run: TrainingRun) -> None:
        assert [path for path in mobilenet_run.outputs.folder.rglob("*") if path.name.startswith(".tmp")] == []


def test_the_quantized_network_of_the_same_archive(
    run_cli: RunCli, flowers_cwd: Path, mobilenet_model_dir: Path, tmp_path: Path
) -> None:
    """Its bottlenecks are nearly those of the other, and so is the accuracy; 500 steps are enough for that."""
    flags = _flower_flags(mobilenet_model_dir, tmp_path)
    name = "--architecture=MobileNet_0.25_128_Quantized"  # In any case, as the original takes it.
    process = run_cli("retrain", *flags, name, "--how_many_training_steps=500", cwd=flowers_cwd)
    assert_succeeded(process)
    assert len(list(Outputs(tmp_path).bottlenecks.glob("*/*.jpg_mobilenet_0.25_128_quantized.txt"))) == 600
    percentage, count = final_test_accuracy(process.stderr)
    assert count == 60 and percentage >= 60


class TestSteps:
    def test_zero_steps_leave_the_head_untrained(self, run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
        process, outputs = _train_small(run_cli, small_photos, tmp_path, "--how_many_training_steps=0")
        assert step_lines(process.stderr) == []
        assert bottleneck_counts(process.stderr) == (N_SMALL, 0)
        graph = read_graph(outputs.graph)
        weights, biases = constant(graph, FINAL_WEIGHTS), constant(graph, FINAL_BIASES)
        # A normal distribution with deviation 0.001, truncated at two: its deviation is 0.88 of that.
        assert 0 < np.abs(weights).max() <= 0.002
        assert weights.std() == pytest.approx(0.00088, rel=0.1)
        assert not biases.any()
        assert final_test_accuracy(process.stderr)[1] == 9

    def test_distortions_cache_no_training_image(self, run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
        distortions = ["--flip_left_right", "--random_crop=10", "--random_scale=20", "--random_brightness=15"]
        steps = ["--how_many_training_steps=12", "--train_batch_size=30", "--eval_step_interval=5"]
        process, outputs = _train_small(run_cli, small_photos, tmp_path, *distortions, *steps)
        assert bottleneck_counts(process.stderr) == (SMALL_OTHERS, 0)
        assert len(list(outputs.bottlenecks.glob("*/*.txt"))) == SMALL_OTHERS
        assert [line.step for line in step_lines(process.stderr) if line.measure == "train"] == [0, 5, 10, 11]
        assert final_test_accuracy(process.stderr)[0] >= 60  # Of three classes that are told apart by colour alone.


class TestImages:
    def test_those_that_cannot_be_decoded_are_skipped_and_named(
        self, run_cli: RunCli, small_photos: Path, tmp_path: Path
    ) -> None:
        photos = tmp_path / "photos"
        shutil.copytree(small_photos, photos)
        damaged, empty = photos / "blue stripes" / "damaged.jpg", photos / "red dots" / "empty.JPG"
        damaged.write_bytes(b"no photo at all")
        empty.touch()
        process, outputs = _train_small(run_cli, photos, tmp_path, "--how_many_training_steps=20")
        assert (
            "WARNING: 2 images could not be decoded and are skipped:\n"
            f"  {damaged}: it is no image in a known format\n"
            f"  {empty}: the file is empty\n"
        ) in process.stderr
        assert bottleneck_counts(process.stderr) == (N_SMALL, 0)

        outputs.graph.unlink()
        again = run_cli("retrain", f"--image_dir={photos}", "--architecture=tiny_resnet_128", "--strict", *outputs.flags())
        assert again.returncode == 2
        assert again.stderr.endswith(
            "error: 2 images could not be decoded (--strict). Fix or remove them:\n"
            f"  {damaged}: it is no image in a known format\n"
            f"  {empty}: the file is empty\n"
        )
        assert "Step" not in again.stderr and not outputs.graph.exists()

    def test_an_edited_one_gets_a_new_bottleneck(
        self, run_cli: RunCli, small_photos: Path, tiny_resnet_run: TrainingRun, tmp_path: Path
    ) -> None:
        photos, cache = tmp_path / "photos", tmp_path / "run" / "bottlenecks"
        shutil.copytree(small_photos, photos)
        shutil.copytree(tiny_resnet_run.outputs.bottlenecks, cache)
        edited, other = sorted((photos / "red dots").iterdir())[0], sorted((photos / "green rings").iterdir())[0]
        shutil.copyfile(other, edited)
        process, _ = _train_small(run_cli, photos, tmp_path, "--how_many_training_steps=0")
        assert "1 bottlenecks are made again: the image has changed.\n" in process.stderr
        assert bottleneck_counts(process.stderr) == (1, N_SMALL - 1)
        of_edited, of_other = (
            read_bottleneck(cache / photo.parent.name / f"{photo.name}_tiny_resnet_128.txt") for photo in (edited, other)
        )
        np.testing.assert_allclose(of_edited, of_other, atol=1e-6)


class TestNetworkThatCannotBeHad:
    def test_the_default_gives_way_to_efficientnet_lite0(self, run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
        outputs, models = Outputs(tmp_path), tmp_path / "models"
        flags = [f"--image_dir={small_photos}", f"--model_dir={models}", f"--model_url_base={DEAD_URL}"]
        process = run_cli("retrain", *flags, "--how_many_training_steps=20", *outputs.flags(), env=DIRECT)
        assert_succeeded(process)
        archive = "inception-2015-12-05.tgz"
        assert process.stderr.count("WARNING: ") == 2  # And that there are few test images.
        assert (
            f"WARNING: The network cannot be downloaded from {DEAD_URL}{archive} ([Errno 111] Connection refused). "
            f"Get {archive} by hand, put it into {models} (--model_dir), and run again.\n"
            "The network efficientnet_lite0 is used instead. Name a network with --architecture to avoid this warning.\n"
        ) in process.stderr
        [node] = [node for node in read_graph(outputs.graph).node if node.name == "retrain_description"]
        described = json.loads(tf.make_ndarray(node.attr["value"].tensor).item())
        assert described["architecture"] == "efficientnet_lite0"
        assert described["note"] == "inception_v3 is not available; the network efficientnet_lite0 was used instead."
        assert len(list(outputs.bottlenecks.glob("*/*_efficientnet_lite0_crop.txt"))) == N_SMALL

    def test_the_result_says_so_too(self, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", DIRECT["no_proxy"])
        config = retrain.RetrainConfig(
            image_dir=str(small_photos),
            model_dir=str(tmp_path / "models"),
            model_url_base=DEAD_URL,
            how_many_training_steps=20,
            **Outputs(tmp_path).settings(),
        )
        result = retrain.run(config)
        assert result.architecture == "efficientnet_lite0"
        assert result.note == "inception_v3 is not available; the network efficientnet_lite0 was used instead."

    def test_one_that_was_named_is_an_error(self, run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
        outputs, models = Outputs(tmp_path), tmp_path / "models"
        flags = [f"--image_dir={small_photos}", f"--model_dir={models}", f"--model_url_base={DEAD_URL}"]
        process = run_cli("retrain", *flags, f"--architecture={MOBILENET}", *outputs.flags(), env=DIRECT)
        assert process.returncode == 1
        assert process.stderr == (
            f"Downloading {DEAD_URL}{MOBILENET_ARCHIVE} to {models / MOBILENET_ARCHIVE}\n"
            f"error: The network cannot be downloaded from {DEAD_URL}{MOBILENET_ARCHIVE} ([Errno 111] Connection refused). "
            f"Get {MOBILENET_ARCHIVE} by hand, put it into {models} (--model_dir), and run again.\n"
        )
        assert not outputs.graph.exists()


def _train_flowers(
    run_cli: RunCli, cwd: Path, model_dir: Path, folder: Path, cache: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    process = run_cli("retrain", *_flower_flags(model_dir, folder), f"--bottleneck_dir={cache}", *more, cwd=cwd)
    assert_succeeded(process)
    return process


def _flower_flags(model_dir: Path, folder: Path) -> list[str]:
    return [f"--image_dir={FLOWERS}", f"--architecture={MOBILENET}", f"--model_dir={model_dir}", *Outputs(folder).flags()]


def _train_small(run_cli: RunCli, photos: Path, folder: Path, *more: str) -> tuple[subprocess.CompletedProcess[str], Outputs]:
    outputs = Outputs(folder / "run")
    process = run_cli("retrain", f"--image_dir={photos}", "--architecture=tiny_resnet_128", *outputs.flags(), *more)
    assert_succeeded(process)
    return process, outputs


def _interrupt_at_the_first_line(cwd: Path, model_dir: Path, folder: Path) -> tuple[int, str]:
    """Presses Ctrl-C at the first line about bottlenecks, after 100 of them or soon after; returns exit code and log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "retrain", *_flower_flags(model_dir, folder)],
        cwd=cwd,
        env={**own_environment(), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        first = process.stderr.readline() + process.stderr.readline()  # The network's line, and that of bottlenecks.
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    return process.returncode, first + rest


def test_outputs_may_lie_below_the_summaries(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    """The summaries' folder is emptied of event files only; folders just made for other outputs stay."""
    outputs = Outputs(tmp_path / "logs" / "model")
    flags = {**outputs.settings(), "summaries_dir": str(tmp_path / "logs")}
    process = run_cli(
        "retrain",
        f"--image_dir={small_photos}",
        "--architecture=tiny_resnet_128",
        "--how_many_training_steps=1",
        *(f"--{name}={value}" for name, value in flags.items() if name != "bottleneck_dir"),
        f"--bottleneck_dir={tmp_path / 'bottlenecks'}",
    )
    assert_succeeded(process)
    assert outputs.graph.exists() and outputs.labels.exists()


def test_a_head_that_diverged_is_told(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    process, _ = _train_small(run_cli, small_photos, tmp_path, "--learning_rate=1e300", "--how_many_training_steps=30")
    assert "The head fits" not in process.stderr
    assert "WARNING: The training has diverged: the head's weights are not finite. Lower --learning_rate.\n" in process.stderr
