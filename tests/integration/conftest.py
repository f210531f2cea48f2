"""Runs that several tests look at. Each is made once, by the first test that asks for it, for all processes."""

import dataclasses
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.support.commands import DIRECT, FLOWERS, MOBILENET, Outputs, TrainingRun, assert_succeeded
from tests.support.shared import made_once
from tests.support.stand_ins import serve_folder, tiny_inception_graph, write_inception_archive


@dataclasses.dataclass(frozen=True)
class InceptionRun:
    """A training with the stand-in of the 2015 archive, the same command once more, and what it asked the server for."""

    training: TrainingRun
    again: TrainingRun
    model_dir: Path
    url: str
    requests: tuple[str, ...]


@pytest.fixture(scope="session")
def flowers_cwd(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder from which the photos' path is `../shared/flower_photos`, wherever they are."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "shared").symlink_to(data_dir.resolve())
    (folder / "work").mkdir()
    return folder / "work"


@pytest.fixture(scope="session")
def mobilenet_run(
    run_cli: RunCli, flowers_cwd: Path, mobilenet_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainingRun:
    """Run the original's defaults on the 600 photos: 4,000 steps, nothing cached before; with every kind of output."""

    def train(folder: Path) -> TrainingRun:
        outputs = Outputs(folder)
        process = run_cli(
            "retrain",
            f"--image_dir={FLOWERS}",
            f"--architecture={MOBILENET}",
            f"--model_dir={mobilenet_model_dir}",
            f"--saved_model_dir={outputs.folder / 'saved_model'}",
            f"--intermediate_output_graphs_dir={outputs.folder / 'intermediate'}",
            "--intermediate_store_frequency=1500",
            "--print_misclassified_test_images",
            "--random_seed=1",
            *outputs.flags(),
            cwd=flowers_cwd,
        )
        assert_succeeded(process)
        return TrainingRun(process, outputs)

    return made_once(tmp_path_factory, "mobilenet_run", train)


@pytest.fixture(scope="session")
def tiny_resnet_run(run_cli: RunCli, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """Train the bundled network on 75 easy pictures."""

    def train(folder: Path) -> TrainingRun:
        outputs = Outputs(folder)
        process = run_cli(
            "retrain",
            f"--image_dir={small_photos}",
            "--architecture=tiny_resnet_128",
            "--how_many_training_steps=100",
            *outputs.flags(),
        )
        assert_succeeded(process)
        return TrainingRun(process, outputs)

    return made_once(tmp_path_factory, "tiny_resnet_run", train)


@pytest.fixture(scope="session")
def hidden_run(run_cli: RunCli, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """Train a head of hidden layers on the bundled network, by Adam with all options of a head."""

    def train(folder: Path) -> TrainingRun:
        outputs = Outputs(folder)
        head = ["--hidden_units=24,16", "--dropout=0.2", "--l2=0.0001", "--label_smoothing=0.05", "--class_weights=balanced"]
        training = [
            "--optimizer=adam",
            "--learning_rate=0.002",
            "--learning_rate_schedule=cosine",
            "--how_many_training_steps=60",
        ]
        flags = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", "--random_seed=4", *head, *training]
        process = run_cli("retrain", *flags, f"--timing_report={outputs.folder / 'times.json'}", *outputs.flags())
        assert_succeeded(process)
        return TrainingRun(process, outputs)

    return made_once(tmp_path_factory, "hidden_run", train)


@pytest.fixture(scope="session")
def fine_tuned_run(run_cli: RunCli, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """Fine-tune the bundled network at so high a rate that it makes mistakes; without validation images all steps are kept."""

    def train(folder: Path) -> TrainingRun:
        outputs = Outputs(folder)
        tuning = ["--fine_tune_steps=3", "--fine_tune_batch_size=8", "--fine_tune_learning_rate=0.01", "--eval_step_interval=2"]
        distortions = ["--flip_left_right", "--random_crop=10"]
        sets = ["--validation_percentage=0", "--testing_percentage=50"]
        head = ["--architecture=tiny_resnet_128", "--how_many_training_steps=20", "--train_batch_size=8", "--random_seed=2"]
        process = run_cli("retrain", f"--image_dir={small_photos}", *head, *tuning, *sets, *distortions, *outputs.flags())
        assert_succeeded(process)
        return TrainingRun(process, outputs)

    return made_once(tmp_path_factory, "fine_tuned_run", train)


@pytest.fixture(scope="session")
def inception_run(run_cli: RunCli, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> InceptionRun:
    """Train the default architecture from a mirror that holds a small network under the archive's name."""

    def make(folder: Path) -> InceptionRun:
        served, model_dir = folder / "mirror", folder / "models"
        served.mkdir()
        model_dir.mkdir()
        write_inception_archive(served, tiny_inception_graph())

        def train(outputs: Outputs, url: str) -> TrainingRun:
            flags = [f"--image_dir={small_photos}", f"--model_dir={model_dir}", f"--model_url_base={url}"]
            # So slow a rate that the accuracy is seen to rise.
            training = ["--how_many_training_steps=25", "--learning_rate=0.001", "--random_seed=3"]
            process = run_cli("retrain", *flags, *training, *outputs.flags(), env=DIRECT)
            assert_succeeded(process)
            return TrainingRun(process, outputs)

        with serve_folder(served) as server:
            training, again = train(Outputs(folder / "first"), server.url), train(Outputs(folder / "again"), server.url)
            return InceptionRun(training, again, model_dir, server.url, tuple(server.requests))

    return made_once(tmp_path_factory, "inception_run", make)
