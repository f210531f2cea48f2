"""Stale answers.

What was made from other images, by another network or for another training has to be noticed, made again and counted in the log.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrain.errors import FlagError
from retrain.graphdef.precision_effect import check_processor
from tests.conftest import SMALL_CLASSES, SMALL_SPLIT, RunCli, draw_photo
from tests.reliability.conftest import Note
from tests.support.commands import MOBILENET, Outputs, assert_succeeded, bottleneck_counts, copy_files, read_bottleneck
from tests.support.stand_ins import GRAPH_FILE, tiny_inception_graph, write_inception_archive

pytestmark = pytest.mark.slow

N_SMALL = len(SMALL_CLASSES) * sum(SMALL_SPLIT.values())
TINY = "tiny_resnet_128"
AGAIN = "bottlenecks are made again: "


@pytest.fixture(scope="module")
def made(small_photos: Path, run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outputs]:
    """Photos, and a training on them with the bundled network: copy both before changing them."""
    photos, outputs = tmp_path_factory.mktemp("photos"), Outputs(tmp_path_factory.mktemp("made"))
    shutil.copytree(small_photos, photos, dirs_exist_ok=True)
    assert_succeeded(run_cli("retrain", *_flags(photos, outputs), "--how_many_training_steps=20", "--random_seed=3"))
    return photos, outputs


def _flags(photos: Path, outputs: Outputs, architecture: str = TINY) -> list[str]:
    return [f"--image_dir={photos}", f"--architecture={architecture}", *outputs.flags()]


def _bottleneck(outputs: Outputs, photo: Path, architecture: str = TINY) -> Path:
    return outputs.bottlenecks / photo.parent.name / f"{photo.name}_{architecture}.txt"


def _edit(photo: Path) -> None:
    """In place, to the same number of bytes."""
    size, label = photo.stat().st_size, photo.parent.name
    for quality in range(88, 50, -1):
        draw_photo(label, 1000).save(photo, quality=quality)
        if photo.stat().st_size <= size:
            break
    with open(photo, "ab") as file:
        file.write(bytes(size - photo.stat().st_size))  # Decoders ignore what follows the end of a JPEG.


def _replace_by_an_older(photo: Path) -> None:
    other = photo.with_name("other.tmp")
    draw_photo(photo.parent.name, 1001).save(other, "JPEG", quality=90)
    os.utime(other, (10**9, 10**9))
    other.replace(photo)


def _touch(photo: Path) -> None:
    os.utime(photo, (10**9, 10**9))


def _copy_anew(photo: Path) -> None:
    contents = photo.read_bytes()
    photo.unlink()
    photo.write_bytes(contents)


def test_images(made: tuple[Path, Outputs], run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    """All changes before one run: each of them on two photos of each class, so that no other explains the count."""
    photos, outputs = tmp_path / "photos", Outputs(tmp_path / "run")
    shutil.copytree(made[0], photos)
    shutil.copytree(made[1].bottlenecks, outputs.bottlenecks)
    changes = {_edit: 2, _replace_by_an_older: 3, _touch: 2, _copy_anew: 2}
    changed: dict[Callable[[Path], None], list[Path]] = {}
    remaining = {label: iter(sorted((photos / label).glob("*.jpg"))) for label in SMALL_CLASSES}
    for change, count in changes.items():
        changed[change] = [next(of_label) for of_label in remaining.values() for _ in range(count)]
        for photo in changed[change]:
            change(photo)
    before = {path: path.read_bytes() for path in sorted(outputs.bottlenecks.glob("*/*.txt"))}
    process = run_cli("retrain", *_flags(photos, outputs), "--how_many_training_steps=20")
    assert_succeeded(process)
    remade = [_bottleneck(outputs, photo) for change in (_edit, _replace_by_an_older) for photo in changed[change]]
    assert f"\n{len(remade)} {AGAIN}the image has changed.\n" in f"\n{process.stderr}"
    assert process.stderr.count(AGAIN) == 1
    assert bottleneck_counts(process.stderr) == (15, N_SMALL - 15) and len(remade) == 15
    for path, text in before.items():
        assert (path.read_bytes() == text) == (path not in remade), path
    counted = f"made again, and counted: `15 {AGAIN}the image has changed.`"
    note("photos edited in place, to the same number of bytes", tried=len(changed[_edit]), happened=counted)
    note(
        "photos replaced by others of the same name, older than themselves",
        tried=len(changed[_replace_by_an_older]),
        happened=f"in the same run: {counted}",
    )
    note(
        "photos only touched, or copied",
        tried=len(changed[_touch] + changed[_copy_anew]),
        happened="in the same run: their bottlenecks were kept, byte for byte",
    )


def test_another_network_of_the_same_name(small_photos: Path, run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    photos, models, outputs = _few(small_photos, tmp_path), tmp_path / "models", Outputs(tmp_path / "run")
    models.mkdir()
    write_inception_archive(models, tiny_inception_graph(seed=0))
    flags = [*_flags(photos, outputs, "inception_v3"), f"--model_dir={models}", "--how_many_training_steps=5"]
    assert_succeeded(run_cli("retrain", *flags))
    for what, seed in {"unpacked graph file": 1, "archive": 2}.items():
        before = {path: read_bottleneck(path) for path in sorted(outputs.bottlenecks.glob("*/*.txt"))}
        if what == "archive":
            write_inception_archive(models, tiny_inception_graph(seed))
        else:
            (models / GRAPH_FILE).write_bytes(tiny_inception_graph(seed).SerializeToString())
        process = run_cli("retrain", *flags)
        assert_succeeded(process)
        said = f"{len(before)} {AGAIN}made by another network."
        assert f"{said}\n" in process.stderr, what
        assert bottleneck_counts(process.stderr) == (len(before), 0)
        for path, values in before.items():
            assert np.linalg.norm(read_bottleneck(path) - values) > 0.1 * np.linalg.norm(values), path
        note(f"another {what} in `--model_dir`, under the same architecture's name", tried=1, happened=f"`{said}`")


def test_a_changed_precision(made: tuple[Path, Outputs], run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    """On a processor that ignores bfloat16 it is refused: float32 numbers must not get its name."""
    photos, outputs = made[0], Outputs(tmp_path)
    shutil.copytree(made[1].bottlenecks, outputs.bottlenecks)
    try:
        check_processor("bfloat16")
    except FlagError as error:
        process = run_cli("retrain", *_flags(photos, outputs), "--precision=bfloat16", "--how_many_training_steps=5")
        assert (process.returncode, process.stderr) == (2, f"error: {error}\n")
        assert not list(outputs.bottlenecks.glob("*/*_bfloat16.txt"))
        note("`--precision` changed to one that the processor ignores", tried=1, happened=f"exit code 2: `{error}`")
        return
    counts = []
    for precision in ("bfloat16", "float32"):
        process = run_cli("retrain", *_flags(photos, outputs), f"--precision={precision}", "--how_many_training_steps=5")
        assert_succeeded(process)
        counts.append(bottleneck_counts(process.stderr))
    assert counts == [(N_SMALL, 0), (0, N_SMALL)]
    plain, rounded = (sorted(outputs.bottlenecks.glob(f"*/*_{TINY}{ending}.txt")) for ending in ("", "_bfloat16"))
    assert len(plain) == len(rounded) == N_SMALL
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(plain, rounded, strict=True))
    note(
        "`--precision` changed, and changed back",
        tried=2,
        happened=f"{counts[0][0]} bottlenecks made, {counts[0][1]} read, under names of their own; then {counts[1][0]} made, "
        f"{counts[1][1]} read",
    )


def _few(photos: Path, folder: Path) -> Path:
    """Copy some of the photos, for a network that is slow."""
    for label in SMALL_CLASSES:
        (folder / "few" / label).mkdir(parents=True)
        for photo in sorted((photos / label).glob("*.jpg"))[:8]:
            shutil.copy(photo, folder / "few" / label)
    return folder / "few"


class TestCachesOfTheOriginal:
    """The 30 bottlenecks that the original itself made of real photos."""

    @pytest.fixture
    def original(self, reference_dir: Path, flower_photos: Path, tmp_path: Path) -> tuple[Path, Outputs]:
        """Return the 30 photos, and their bottlenecks as the original left them."""
        photos, outputs = tmp_path / "photos", Outputs(tmp_path / "run")
        copy_files(reference_dir / "bottlenecks", outputs.bottlenecks)
        for path in outputs.bottlenecks.glob("*/*.txt"):
            photo = Path(path.parent.name, path.name.removesuffix(f"_{MOBILENET}.txt"))
            (photos / photo).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(flower_photos / photo, photos / photo)
        return photos, outputs

    @pytest.fixture
    def train(self, original: tuple[Path, Outputs], mobilenet_model_dir: Path, run_cli: RunCli) -> Callable[[], str]:
        """Trains; returns the log."""

        def run() -> str:
            # All images train: in sets of six, some class would have none left.
            more = ["--testing_percentage=0", "--validation_percentage=0", "--how_many_training_steps=5"]
            process = run_cli("retrain", *_flags(*original, MOBILENET), f"--model_dir={mobilenet_model_dir}", *more)
            assert_succeeded(process)
            return process.stderr

        return run

    def test_are_accepted(self, original: tuple[Path, Outputs], train: Callable[[], str], note: Note) -> None:
        outputs = original[1]
        before = {path: path.read_bytes() for path in outputs.bottlenecks.glob("*/*.txt")}
        log = train()
        [line] = [line for line in log.splitlines() if "came without a record" in line]
        assert line == "16 of 30 bottlenecks that came without a record were checked against their images: all fit."
        assert bottleneck_counts(log) == (0, 30) and AGAIN not in log
        again = train()
        assert bottleneck_counts(again) == (0, 30) and "came without a record" not in again
        assert {path: path.read_bytes() for path in outputs.bottlenecks.glob("*/*.txt")} == before

        edited = sorted((original[0] / "roses").iterdir())[3]
        shutil.copyfile(sorted((original[0] / "tulips").iterdir())[0], edited)
        log = train()
        assert f"1 {AGAIN}the image has changed.\n" in log and bottleneck_counts(log) == (1, 29)
        note(
            "a cache of the original, without our side files",
            tried=30,
            happened=f"read, 0 made: `{line}`; in the next run read without a check; and then, one photo edited: "
            f"`1 {AGAIN}the image has changed.`",
        )

    def test_of_other_images_are_noticed(
        self, original: tuple[Path, Outputs], train: Callable[[], str], reference_dir: Path, note: Note
    ) -> None:
        """One in the sample: the first always is."""
        outputs = original[1]
        paths = sorted(outputs.bottlenecks.glob("*/*.txt"))
        tampered, true = paths[0], paths[0].read_bytes()
        tampered.write_bytes(paths[-1].read_bytes())
        log = train()
        warnings = [line for line in log.splitlines() if line.startswith("WARNING: ") and "came without a record" in line]
        assert warnings == ["WARNING: 1 of 16 bottlenecks that came without a record do not fit their images."]
        assert f"30 {AGAIN}they came without a record, and some do not fit their images.\n" in log
        n_made, _ = counts = bottleneck_counts(log)
        assert counts == (30, 0)
        np.testing.assert_allclose(read_bottleneck(tampered), np.array(true.split(b","), np.float32), rtol=0, atol=1e-4)
        again = train()
        assert bottleneck_counts(again) == (0, 30) and "came without a record" not in again
        note(
            "a cache of the original in which one bottleneck, of those in the sample, is another photo's",
            tried=1,
            happened=f"`{warnings[0]}` All {n_made} were made again",
        )


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_byte(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    path.write_bytes(contents)


INDEX, DATA = "head.index", "head.data-00000-of-00001"
DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "whose data is cut off": (DATA, _cut),
    "whose index is cut off": (INDEX, _cut),
    "whose data is gone": (DATA, Path.unlink),
    "with a wrong byte in its data": (DATA, _flip_a_byte),
    "with a wrong byte in its index": (INDEX, _flip_a_byte),
    "whose index is empty": (INDEX, lambda path: os.truncate(path, 0)),
}


def test_damaged_checkpoints(made: tuple[Path, Outputs], run_cli: RunCli, tmp_path: Path, long: bool, note: Note) -> None:
    errors: dict[str, str] = {}
    for number, (name, (file, damage)) in enumerate(list(DAMAGES.items())[: len(DAMAGES) if long else 2]):
        outputs = Outputs(tmp_path / str(number))
        shutil.copytree(made[1].folder, outputs.folder)
        damage(outputs.checkpoint.with_name(file))
        error = _refused(run_cli, outputs, *_flags(made[0], outputs))
        assert error == (
            f"The checkpoint {outputs.checkpoint} (--checkpoint_path) is damaged, or was not written by this tool: it cannot "
            "be resumed. Leave --resume out to train from the start."
        )
        errors[name] = error.replace(f"{outputs.checkpoint.parent}/", "")
        if number == 0:
            assert_succeeded(run_cli("retrain", *_flags(made[0], outputs), "--how_many_training_steps=20", "--random_seed=3"))
            assert outputs.graph.read_bytes() == made[1].graph.read_bytes()
    assert len(set(errors.values())) == 1
    note(
        f"`--resume` of a checkpoint {', '.join(errors)}",
        tried=len(errors),
        happened=f"exit code 2: `{error.replace(f'{outputs.checkpoint.parent}/', '')}`; without `--resume` trained from scratch",
    )


def _refused(run_cli: RunCli, outputs: Outputs, *flags: str) -> str:
    """Return the error of a `--resume`, which must change nothing."""
    before = {path: path.read_bytes() for path in outputs.folder.rglob("*") if path.is_file() and "lock" not in path.name}
    process = run_cli("retrain", *flags, "--how_many_training_steps=40", "--resume")
    assert process.returncode == 2 and "Traceback" not in process.stderr, process.stderr
    assert "Training on" not in process.stderr
    assert {path: path.read_bytes() for path in before} == before
    return process.stderr.split("error: ")[1].strip()


def test_checkpoints_of_other_trainings(
    made: tuple[Path, Outputs], run_cli: RunCli, tmp_path: Path, long: bool, note: Note
) -> None:
    photos, outputs, models = made[0], Outputs(tmp_path / "run"), tmp_path / "models"
    shutil.copytree(made[1].folder, outputs.folder)
    shutil.copytree(photos, tmp_path / "elsewhere")
    models.mkdir()
    write_inception_archive(models, tiny_inception_graph())
    trainings = {
        "of another network": ([*_flags(photos, outputs, "inception_v3"), f"--model_dir={models}"], "network differ"),
        "of another image folder": (_flags(tmp_path / "elsewhere", outputs), "image_dir differ"),
        "of another split": ([*_flags(photos, outputs), "--testing_percentage=20"], "testing_percentage differ"),
        "of another seed": ([*_flags(photos, outputs), "--random_seed=4"], "--random_seed must be 3"),
    }
    refused = {}
    for name, (flags, reason) in list(trainings.items())[: len(trainings) if long else 1]:
        refused[name] = _refused(run_cli, outputs, *flags)
        assert reason in refused[name]
    (photos / "red dots").rename(photos / "crimson dots")
    refused["of other labels"] = _refused(run_cli, outputs, *_flags(photos, outputs))
    (photos / "crimson dots").rename(photos / "red dots")
    assert "labels differ" in refused["of other labels"]
    for name, error in refused.items():
        said = error.replace(f"{outputs.checkpoint.parent}/", "")
        note(f"`--resume` of a checkpoint {name}", tried=1, happened=f"exit code 2: `{said}`")
