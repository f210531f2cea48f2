"""Labelling with a network's own classes, without training."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np

from retrain.graphdef.nodes import constant
from tests.conftest import MOBILENET_ARCHIVE, Label
from tests.support.labelling import scores_in
from tests.support.stand_ins import ARCHIVE, GRAPH_FILE, tiny_inception_graph


def test_a_networks_own_classes(mobilenet_model_dir: Path, flower_photos: Path, label: Label) -> None:
    """`daisy` is one of ImageNet's classes, and this network knows it."""
    photos = sorted((flower_photos / "daisy").glob("*.jpg"))[:40]
    done = label("--architecture", "MobileNet_0.25_128", "--model_dir", mobilenet_model_dir, "--image", *photos,
                 "--output_format=json")  # fmt: skip
    assert done.code == 0, done.err
    best = [max(scores, key=lambda name: scores[name]) for scores in scores_in(done.out).values()]
    assert best.count("daisy") >= 20
    done = label("--architecture=mobilenet_0.25_128", "--model_dir", mobilenet_model_dir, "--image", photos[0], "--top_k=2000")
    lines = done.out.splitlines()[2:]
    assert len(lines) == 1001
    assert {"background", "tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue"} <= {
        line.partition(" (score=")[0] for line in lines
    }


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


LABEL_MAP = "imagenet_2012_challenge_label_map_proto.pbtxt"
HUMAN = "imagenet_synset_to_human_label_map.txt"


def inception_archive(folder: Path, label_map: bytes) -> None:
    """Return a stand-in with the archive's 1,008 outputs, of which number 7 gets the highest score for any image."""
    graph = tiny_inception_graph()
    for node in graph.node:
        if node.name == "softmax/weights":
            node.CopyFrom(constant(node.name, np.zeros((2048, 1008), np.float32)))
        if node.name == "softmax/biases":
            node.CopyFrom(constant(node.name, np.where(np.arange(1008) == 7, 9, 0).astype(np.float32)))
    human = b"n00000001\tfirst thing, one\nn00000007\tseventh thing\n"
    write_archive(folder / ARCHIVE, {GRAPH_FILE: graph.SerializeToString(), LABEL_MAP: label_map, HUMAN: human})


def entry(number: int, synset: str) -> bytes:
    return f'entry {{\n  target_class: {number}\n  target_class_string: "{synset}"\n}}\n'.encode()


def test_inceptions_classes_come_from_its_two_files(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    inception_archive(
        tmp_path, b"# -*- protobuffer -*-\n" + entry(1, "n00000001") + entry(7, "n00000007") + entry(9, "n00000009")
    )
    ask = ["--architecture", "inception_v3", "--model_dir", tmp_path, "--image"]
    done = label(*ask, few_photos[0], "--top_k=1008")
    assert done.code == 0, done.err
    names = [line.partition(" (score=")[0] for line in done.out.splitlines()[2:]]
    assert len(names) == 1008
    assert names[0] == "seventh thing"
    assert {"first thing, one", "n00000009", "(no class 0)", "(no class 1007)"} <= set(names)
    assert label(*ask, *few_photos).code == 0  # Although its batch is frozen at one.


def test_a_class_beyond_the_outputs_is_an_error(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    inception_archive(tmp_path, entry(1008, "n00000001"))
    done = label("--architecture", "inception_v3", "--model_dir", tmp_path, "--image", few_photos[0])
    assert (done.code, done.err) == (
        1, "error: The label map of the network's archive has a class 1008, but the network has 1008.\n",
    )  # fmt: skip


def test_labels_that_are_not_numbered_are_an_error(
    mobilenet_model_dir: Path, tmp_path: Path, few_photos: list[Path], label: Label
) -> None:
    """A file put beside the graph by hand, newer than the archive."""
    folder = "mobilenet_v1_0.25_128"
    shutil.copy(mobilenet_model_dir / MOBILENET_ARCHIVE, tmp_path)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "labels.txt").write_text("0:background\n2:goldfish\n")
    done = label("--architecture", "mobilenet_0.25_128", "--model_dir", tmp_path, "--image", few_photos[0])
    assert (done.code, done.err) == (
        1, f"error: {folder}/labels.txt in the network's archive does not name the classes 0 to 1000. Delete it and the archive, "
        "and run again.\n",
    )  # fmt: skip


def test_the_classes_of_efficientnet_lite(tmp_path: Path, flower_photos: Path, label: Label) -> None:
    photos = sorted((flower_photos / "daisy").glob("*.jpg"))[:20]
    done = label(
        "--architecture", "EfficientNet_Lite0", "--model_dir", tmp_path / "models", "--image", *photos, "--output_format=json"
    )
    assert done.code == 0, done.err
    best = [max(scores, key=lambda name: scores[name]) for scores in scores_in(done.out).values()]
    assert best.count("daisy") >= 17
    assert all(sum(scores.values()) <= 1 + 1e-5 for scores in scores_in(done.out).values())
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["efficientnet_lite0.pb"]


def test_a_network_without_classes_is_an_error(few_photos: list[Path], label: Label) -> None:
    done = label("--architecture=tiny_resnet_128", "--image", few_photos[0])
    assert (done.code, done.err) == (
        2, "error: --architecture tiny_resnet_128 has no classes of its own. Train it on photos with python -m retrain, or "
        "use efficientnet_lite0, inception_v3 or a mobilenet.\n",
    )  # fmt: skip
