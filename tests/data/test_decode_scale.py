"""`--decode_scale auto`: large JPEGs decoded at a part of their size."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.data.decode import decode, image_from_bytes
from retrain.graphdef.description import Description
from retrain.input_spec import CROP, SCALED, InputSpec
from retrain.process.precision import FLOAT32, cache_name
from tests.conftest import Label, RunCli
from tests.support.pictures import encoded, soft

SPEC = InputSpec(32, 40, 127.5, 127.5, decode_scale=SCALED)


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((127, 159), (127, 159)),
        ((128, 160), (64, 80)),
        ((129, 161), (65, 81)),
        ((255, 1000), (128, 500)),
        ((256, 320), (64, 80)),
        ((512, 640), (64, 80)),
        ((1030, 1290), (129, 162)),
        ((1030, 100), (1030, 100)),
    ],
)
def test_what_is_left_has_at_least_twice_the_inputs_size(size: tuple[int, int], decoded: tuple[int, int]) -> None:
    contents = encoded(soft(*size), "JPEG")
    assert decode(contents, SPEC).shape == (*decoded, 4)
    assert decode(contents, dataclasses.replace(SPEC, decode_scale="full")).shape == (*size, 4)
    assert decode(contents).shape == (*size, 4)


def test_of_a_crop_the_part_that_is_kept_counts() -> None:
    contents = encoded(soft(146, 400), "JPEG")  # Of which 127 × 159 pixels are kept, and of one more row 128 × 160.
    spec = dataclasses.replace(SPEC, resize=CROP)
    assert decode(contents, spec).shape[:2] == (146, 400)
    assert decode(encoded(soft(147, 400), "JPEG"), spec).shape[:2] == (74, 200)


def test_the_picture_stays_the_same() -> None:
    contents = encoded(soft(1030, 1290), "JPEG", quality=95)
    full = image_from_bytes(contents, dataclasses.replace(SPEC, decode_scale="full"))
    scaled = image_from_bytes(contents, SPEC)
    assert 0 < np.abs(scaled - full).mean() < 0.02  # Of values from -1 to 1.


@pytest.mark.parametrize("file_format", ["PNG", "BMP"])
def test_other_formats_are_decoded_whole(file_format: str) -> None:
    assert decode(encoded(soft(512, 640), file_format), SPEC).shape == (512, 640, 4)


def test_it_has_a_cache_and_a_fingerprint_of_its_own_and_is_in_the_metadata() -> None:
    full = dataclasses.replace(SPEC, decode_scale="full")
    assert cache_name("net", FLOAT32, SPEC) == "net_scaled"
    assert cache_name("net", FLOAT32, dataclasses.replace(SPEC, resize=CROP)) == "net_crop_scaled"
    assert cache_name("net", FLOAT32, full) == "net"
    assert full.fingerprint_text == "InputSpec(height=32, width=40, mean=127.5, std=127.5)"
    assert SPEC.fingerprint_text == "InputSpec(height=32, width=40, mean=127.5, std=127.5, decode_scale='auto')"
    about = Description(("a",), "x:0", 32, 40, 127.5, 127.5, "y:0", "net", input_decode_scale=SCALED)
    assert Description.from_json(about.to_json()) == about
    assert about.input_spec == SPEC
    plain = dataclasses.replace(about, input_decode_scale="full")
    assert "decode_scale" not in plain.to_json()
    assert Description.from_json(plain.to_json()).input_spec == full


@pytest.mark.slow
def test_label_image_does_as_training_did(large_photos: Path, run_cli: RunCli, label: Label, tmp_path: Path) -> None:
    flags = [
        "--architecture=tiny_resnet_128",
        "--how_many_training_steps=2",
        "--learning_rate=0.000001",
        f"--bottleneck_dir={tmp_path}/cache",
    ]
    outputs = [f"--{name}={tmp_path}/{name}" for name in ("summaries_dir", "output_labels", "checkpoint_path")]
    graphs = {scale: tmp_path / f"{scale}.pb" for scale in ("full", "auto")}
    for scale, graph in graphs.items():
        run = run_cli(
            "retrain", f"--image_dir={large_photos}", *flags, *outputs, f"--output_graph={graph}", f"--decode_scale={scale}"
        )
        assert run.returncode == 0, run.stderr
        assert ("(squash, decode scale auto)" in run.stderr) == (scale == "auto")
    photo = next(large_photos.rglob("*.jpg"))
    names = {path.name for path in (tmp_path / "cache").rglob(f"{photo.name}*.txt")}
    assert names == {f"{photo.name}_tiny_resnet_128.txt", f"{photo.name}_tiny_resnet_128_scaled.txt"}
    by_itself = label(f"--graph={graphs['auto']}", f"--image={photo}", "--output_format=json").out
    assert by_itself == label(f"--graph={graphs['auto']}", f"--image={photo}", "--output_format=json", "--decode_scale=auto").out
    assert by_itself != label(f"--graph={graphs['auto']}", f"--image={photo}", "--output_format=json", "--decode_scale=full").out


@pytest.fixture
def large_photos(tmp_path: Path) -> Path:
    """Return a folder of two classes of photos with so many pixels that they are decoded at 1/2."""
    rng = np.random.default_rng(0)
    for name, colour in (("green", (40, 170, 60)), ("red", (200, 40, 40))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(22):
            pixels = np.array(colour) + rng.integers(-30, 30, (600, 640, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "photos" / name / f"{name}{number}.jpg")
    return tmp_path / "photos"
