"""The architectures by name, and what an unknown name is told."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from retrain.__main__ import main
from retrain.backbones.architecture import Architecture
from retrain.backbones.catalog import find_architecture
from retrain.backbones.published import BUNDLED_FILE, KNOWN_DIGESTS
from retrain.errors import FlagError
from retrain.input_spec import InputSpec
from tests.conftest import MOBILENET_ARCHIVE

SIZES = ["1.0", "0.75", "0.50", "0.25"]
RESOLUTIONS = [224, 192, 160, 128]
# Written out a second time from the description of the original: 4 sizes × 4 resolutions, each as float and quantized graph.
MOBILENETS = [
    (f"mobilenet_{size}_{resolution}{ending}", f"mobilenet_v1_{size}_{resolution}", resolution, graph_file)
    for size in SIZES
    for resolution in RESOLUTIONS
    for ending, graph_file in (("", "frozen_graph.pb"), ("_quantized", "quantized_graph.pb"))
]


LITE = [("efficientnet_lite0", 224), ("efficientnet_lite1", 240), ("efficientnet_lite2", 260)]
NAMES = ["inception_v3", "tiny_resnet_128", *(name for name, _ in LITE), *(name for name, *_ in MOBILENETS)]


def test_all_names_are_known() -> None:
    assert len(MOBILENETS) == 32
    assert len(set(NAMES)) == 37
    assert [find_architecture(name).name for name in NAMES] == NAMES


def without_provenance(name: str) -> Architecture:
    return dataclasses.replace(find_architecture(name), provenance=None)


def test_inception_v3() -> None:
    assert without_provenance("inception_v3") == Architecture(
        name="inception_v3",
        input_tensor="Mul:0",
        bottleneck_tensor="pool_3/_reshape:0",
        batch_tensor="pool_3:0",  # the other one is frozen at one image
        bottleneck_size=2048,
        input_spec=InputSpec(height=299, width=299, mean=128.0, std=128.0),
        graph_file="classify_image_graph_def.pb",
        archive="inception-2015-12-05.tgz",
        urls=(
            "https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
            "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
        ),
        class_tensor="softmax:0",
        label_files=("imagenet_2012_challenge_label_map_proto.pbtxt", "imagenet_synset_to_human_label_map.txt"),
    )


@pytest.mark.parametrize(("name", "folder", "resolution", "graph_file"), MOBILENETS)
def test_mobilenets(name: str, folder: str, resolution: int, graph_file: str) -> None:
    assert without_provenance(name) == Architecture(
        name=name,
        input_tensor="input:0",
        bottleneck_tensor="MobilenetV1/Predictions/Reshape:0",
        batch_tensor="MobilenetV1/Predictions/Reshape:0",
        bottleneck_size=1001,
        input_spec=InputSpec(height=resolution, width=resolution, mean=127.5, std=127.5),
        graph_file=f"{folder}/{graph_file}",
        archive=f"{folder}_frozen.tgz",
        urls=(
            f"https://storage.googleapis.com/download.tensorflow.org/models/{folder}_frozen.tgz",
            f"http://download.tensorflow.org/models/{folder}_frozen.tgz",
        ),
        digest=KNOWN_DIGESTS.get(f"{folder}_frozen.tgz", ""),
        class_tensor="MobilenetV1/Predictions/Reshape_1:0",
        label_files=(f"{folder}/labels.txt",),
    )


@pytest.mark.parametrize(("name", "side"), LITE)
def test_efficientnet_lite(name: str, side: int) -> None:
    found = find_architecture(name)
    assert found.input_spec == InputSpec(height=side, width=side, mean=127.0, std=128.0, resize="crop", exif_orientation="apply")
    assert (found.bottleneck_tensor, found.bottleneck_size, found.class_tensor) == ("bottleneck:0", 1280, "probabilities:0")
    assert found.learning_rate_scale > 1


def test_the_originals_networks_keep_the_originals_behaviour() -> None:
    for name in ("inception_v3", "tiny_resnet_128", "pixels_28", *(name for name, *_ in MOBILENETS)):
        found = find_architecture(name)
        assert (found.learning_rate_scale, found.input_spec.resize) == (1.0, "squash")


def test_the_bundled_network_comes_with_the_package() -> None:
    found = find_architecture("tiny_resnet_128")
    assert (found.archive, found.urls, found.graph_file) == ("", (), str(BUNDLED_FILE))
    assert BUNDLED_FILE.is_file()


@pytest.mark.parametrize("typed", ["Inception_V3", "MOBILENET_0.25_128", "MobileNet_1.0_224_Quantized", "Tiny_ResNet_128"])
def test_names_are_known_in_any_case(typed: str) -> None:
    assert find_architecture(typed) == find_architecture(typed.lower())


FORMAT = "mobilenet_<size>_<resolution>[_quantized]"
NAMED = "inception_v3, efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, tiny_resnet_128"
FILES = "the path of a frozen graph, of a Keras file or of a SavedModel's folder"
RESNETS = "Did you mean keras_resnet50?"
QUANTIZED = "mobilenet_1.0_224_quantized"
SIZE_1 = "mobilenet_1.0_224 or mobilenet_1.0_192 or mobilenet_1.0_160"
INCEPTIONS = "inception_v3 or keras_inception_resnet_v2 or keras_inception_v3"
ALLOWED = f"{NAMED}, {FORMAT}, pixels_<1 to 512>, keras_<network> or {FILES}"
LIST = "--list_architectures lists them all."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("alexnet", f"--architecture must be {ALLOWED}. Got alexnet. {LIST}"),
        ("vgg", f"--architecture must be {ALLOWED}. Got vgg. Did you mean keras_vgg16 or keras_vgg19? {LIST}"),
        ("resnet_50", f"--architecture must be {ALLOWED}. Got resnet_50. {RESNETS} {LIST}"),
        ("inception", f"--architecture must be {ALLOWED}. Got inception. Did you mean {INCEPTIONS}? {LIST}"),
        ("mobilnet_1.0_224", f"--architecture must be {ALLOWED}. Got mobilnet_1.0_224. Did you mean mobilenet_1.0_224? {LIST}"),
        ("inception-v3", f"--architecture must be {ALLOWED}. Got inception-v3. Did you mean inception_v3? {LIST}"),
        ("mobilenet_v2", f"--architecture must be {FORMAT}. Got mobilenet_v2. Did you mean keras_mobilenet_v2?"),
        ("mobilenet_1.0", f"--architecture must be {FORMAT}. Got mobilenet_1.0. Did you mean {SIZE_1}?"),
        (
            "mobilenet_1.0_224_quantized_",
            f"--architecture must be {FORMAT}. Got mobilenet_1.0_224_quantized_. Did you mean {QUANTIZED}?",
        ),
        ("mobilenet_0.30_128", "--architecture mobilenet_0.30_128: the size must be one of 1.0, 0.75, 0.50, 0.25. Got 0.30."),
        ("mobilenet_0.5_128", "--architecture mobilenet_0.5_128: the size must be one of 1.0, 0.75, 0.50, 0.25. Got 0.5."),
        ("mobilenet__128", "--architecture mobilenet__128: the size must be one of 1.0, 0.75, 0.50, 0.25. Got nothing."),
        ("mobilenet_1.0_96", "--architecture mobilenet_1.0_96: the resolution must be one of 224, 192, 160, 128. Got 96."),
        ("mobilenet_1.0_", "--architecture mobilenet_1.0_: the resolution must be one of 224, 192, 160, 128. Got nothing."),
        ("mobilenet_1.0_224_float", "--architecture mobilenet_1.0_224_float: the ending must be one of quantized. Got float."),
        ("mobilenet_1.0_224_", "--architecture mobilenet_1.0_224_: the ending must be one of quantized. Got nothing."),
        ("mobilenet_9_9", "--architecture mobilenet_9_9: the size must be one of 1.0, 0.75, 0.50, 0.25. Got 9."),
    ],
)
def test_a_wrong_name_is_told_which_part_is_wrong_and_what_is_allowed(name: str, sentence: str) -> None:
    with pytest.raises(FlagError) as caught:
        find_architecture(name)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == 2


def test_a_wrong_name_on_the_command_line(small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = {
        "output_graph": "graph.pb",
        "output_labels": "labels.txt",
        "checkpoint_path": "checkpoint",
        "summaries_dir": "summaries",
        "bottleneck_dir": "bottlenecks",
        "model_dir": "models",
    }
    flags = [f"--{flag}={tmp_path / place}" for flag, place in places.items()]
    assert main([f"--image_dir={small_photos}", "--architecture=mobilenet_1.0_96", *flags]) == 2
    assert capsys.readouterr() == (
        "",
        "error: --architecture mobilenet_1.0_96: the resolution must be one of 224, 192, 160, 128. Got 96.\n",
    )
    assert not (tmp_path / "graph.pb").exists()


def test_digests_are_those_of_the_archives(data_dir: Path) -> None:
    found = hashlib.sha256((data_dir / "models" / MOBILENET_ARCHIVE).read_bytes()).hexdigest()
    assert KNOWN_DIGESTS[MOBILENET_ARCHIVE] == found
    assert f"{found}  {MOBILENET_ARCHIVE}" in (data_dir / "models" / "SHA256SUMS").read_text().splitlines()


def test_digests_are_of_archives_of_the_catalog() -> None:
    archives = {find_architecture(name).archive for name in NAMES}
    assert set(KNOWN_DIGESTS) <= archives
    assert all(len(digest) == 64 and int(digest, 16) for digest in KNOWN_DIGESTS.values())
