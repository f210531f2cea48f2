"""`python -m scripts.make_flowers`: pictures to train on where there are no photos."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import RunCli
from tests.support.commands import Outputs, assert_succeeded, final_test_accuracy

pytestmark = pytest.mark.slow

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
PER_CLASS = 30


@pytest.fixture(scope="module")
def pictures(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder `flowers`, made from the folder above it: what it is called there decides the split."""
    folder = tmp_path_factory.mktemp("drawn")
    process = run_cli("scripts.make_flowers", "--output_dir=flowers", f"--images_per_class={PER_CLASS}", cwd=folder)
    assert_succeeded(process)
    assert process.stdout == f"{5 * PER_CLASS} pictures in 5 classes: flowers\n"
    return folder / "flowers"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestPictures:
    def test_as_many_as_asked_for(self, pictures: Path) -> None:
        expected = {f"{flower}/{flower}_{index:04}.jpg" for flower in FLOWERS for index in range(PER_CLASS)}
        assert digests(pictures).keys() == expected

    def test_are_jpegs_of_a_plausible_size_and_all_different(self, pictures: Path) -> None:
        assert len(set(digests(pictures).values())) == 5 * PER_CLASS
        for path in pictures.rglob("*.jpg"):
            with Image.open(path) as image:
                image.load()
                assert (image.format, image.mode) == ("JPEG", "RGB")
                assert min(image.size) == 240 and max(image.size) <= 320

    def test_a_larger_set_extends_a_smaller_one(self, pictures: Path, run_cli: RunCli, tmp_path: Path) -> None:
        """And so the same seed gives the same files, byte for byte, in another process."""
        assert_succeeded(run_cli("scripts.make_flowers", f"--output_dir={tmp_path}", "--images_per_class=3"))
        smaller = digests(tmp_path)
        assert len(smaller) == 15
        assert smaller.items() <= digests(pictures).items()

    def test_another_seed_gives_other_pictures(self, pictures: Path, run_cli: RunCli, tmp_path: Path) -> None:
        assert_succeeded(run_cli("scripts.make_flowers", f"--output_dir={tmp_path}", "--images_per_class=1", "--random_seed=2"))
        other = digests(tmp_path)
        assert len(other) == 5 and not set(other.values()) & set(digests(pictures).values())


class TestErrors:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--images_per_class=0"], "--images_per_class must be an integer in [1, 10000]. Got 0."),
            (["--images_per_class=many"], "--images_per_class must be an integer in [1, 10000]. Got many."),
            (["--random_seed=-1"], "--random_seed must be an integer in [0, 4294967296). Got -1."),
            (
                ["--images_per_class=10001", "--random_seed=x"],
                "--images_per_class must be an integer in [1, 10000]. Got 10001.\n"
                "--random_seed must be an integer in [0, 4294967296). Got x.",
            ),
        ],
    )
    def test_a_wrong_value(self, flags: list[str], message: str, run_cli: RunCli, tmp_path: Path) -> None:
        process = run_cli("scripts.make_flowers", *flags, cwd=tmp_path)
        assert (process.returncode, process.stdout, process.stderr) == (2, "", f"error: {message}\n")
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written(self, run_cli: RunCli, tmp_path: Path) -> None:
        (tmp_path / "flowers").write_text("a file, where a folder should be")
        process = run_cli("scripts.make_flowers", "--output_dir=flowers", "--images_per_class=1", cwd=tmp_path)
        assert process.returncode == 1
        assert process.stderr == "error: flowers/daisy: Not a directory\n"


def test_the_bundled_network_learns_to_tell_them_apart(pictures: Path, run_cli: RunCli, tmp_path: Path) -> None:
    """30 of each are few, and so are 10% of them to test on; so a third is kept apart. Chance is 20%."""
    flags = ["--image_dir=flowers", "--architecture=tiny_resnet_128", "--testing_percentage=33", "--random_seed=1"]
    process = run_cli("retrain", *flags, "--how_many_training_steps=500", *Outputs(tmp_path).flags(), cwd=pictures.parent)
    assert_succeeded(process)
    percentage, count = final_test_accuracy(process.stderr)
    assert count == 49  # What the hashes of these 150 paths come to.
    assert percentage > 60
