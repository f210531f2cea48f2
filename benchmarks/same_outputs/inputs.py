"""Inputs of the cases: photos, networks and modules, the same files for both checkouts."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA_VARIABLE = "RETRAIN_TEST_DATA"
ARCHIVE = "mobilenet_v1_0.25_128_frozen.tgz"
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp"}
MODIFIED = 1_500_000_000  # Seconds; index files hold the time of an image's last change.
SIDE, SIZE = 32, 6  # Of the small networks: pixels, and numbers that come out.


def data_folder(checkout: Path) -> Path:
    """Return the folder of the photos and networks that are not part of the project; it may not exist."""
    return Path(os.environ.get(DATA_VARIABLE, checkout.resolve().parent / "shared"))


def prepare_inputs(folder: Path, checkout: Path, image_dir: Path | None, per_class: int) -> None:
    """Fill `folder`, unless it is filled already, with all that the cases need.

    Args:
        folder: where to.
        checkout: draws flowers, where there are no photos.
        image_dir: a folder for each class; None for the shared photos, or drawn ones where there are none.
        per_class: how many photos of each class to take.
    """
    mark = folder / "complete.txt"
    wanted = f"{image_dir and image_dir.resolve()} {per_class}"
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = data_folder(checkout)
    source = image_dir or data / "flower_photos"
    if not source.is_dir() and image_dir is None:
        source = folder / "drawn"
        arguments = ["--output_dir", str(source), "--images_per_class", str(per_class)]
        command = [sys.executable, "-m", "scripts.make_flowers", *arguments]
        subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(checkout)}, check=True)
    _copy_photos(source, folder / "photos", per_class)
    _copy_some(folder / "photos", folder / "some")
    _write_odd_photos(folder / "photos", folder / "odd_photos")
    _copy_network(data, folder)
    _write_networks(folder / "networks")
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (MODIFIED, MODIFIED))
    mark.write_text(wanted, encoding="utf-8")


def has_mobilenet(folder: Path) -> bool:
    """Return True if the published network is among the inputs."""
    return (folder / "models" / ARCHIVE).is_file()


def inputs_digest(folder: Path) -> str:
    """Return what tells these inputs from others."""
    sha = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def _copy_photos(source: Path, target: Path, per_class: int) -> None:
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        photos = sorted(path for path in label.iterdir() if path.suffix.lower() in SUFFIXES)
        (target / label.name).mkdir(parents=True)
        for photo in photos[:per_class]:
            shutil.copyfile(photo, target / label.name / photo.name)


def _copy_some(photos: Path, target: Path) -> None:
    """Copy the first photo of each of three classes, as `0.jpg` and so on."""
    target.mkdir()
    for number, label in enumerate(sorted(photos.iterdir())[:3]):
        shutil.copyfile(min(label.iterdir()), target / f"{number}.jpg")


def _write_odd_photos(photos: Path, target: Path) -> None:
    """Two classes in which there are photos in other formats, and files that are no photos."""
    from PIL import Image

    for label in sorted(path for path in photos.iterdir() if path.is_dir())[:2]:
        folder = target / label.name
        folder.mkdir(parents=True)
        names = sorted(label.iterdir())[:24]
        for number, photo in enumerate(names):
            image = Image.open(photo).convert("RGB")
            if number == 0:
                image.convert("L").save(folder / "grey.jpg")
            elif number == 1:
                image.save(folder / "picture.png")
            elif number == 2:
                image.quantize(16).save(folder / "palette.gif")
            elif number == 3:
                image.convert("RGBA").save(folder / "alpha.png")
            elif number == 4:
                image.convert("CMYK").save(folder / "printed.jpg")
            elif number == 5:
                exif = Image.Exif()
                exif[274] = 6  # To be turned.
                image.save(folder / "turned.jpg", exif=exif)
            elif number == 6:
                image.resize((3, 2)).save(folder / "tiny.jpg")
            elif number == 7:
                image.save(folder / "map.bmp")
            else:
                shutil.copyfile(photo, folder / photo.name)
        cut = names[-1].read_bytes()
        (folder / "cut_off.jpg").write_bytes(cut[: len(cut) // 3])
        (folder / "no_image.jpg").write_bytes(b"no image")
        (folder / "empty.png").write_bytes(b"")
        (folder / "notes.txt").write_text("not to be looked at\n", encoding="utf-8")
    (target / "loose.jpg").write_bytes(names[0].read_bytes())
    (target / "nothing").mkdir()


def _copy_network(data: Path, folder: Path) -> None:
    """Prepare the published MobileNet, and the bottlenecks, the graph and the labels that the original tool made with it."""
    if not (data / "models" / ARCHIVE).is_file():
        return
    (folder / "models").mkdir()
    shutil.copyfile(data / "models" / ARCHIVE, folder / "models" / ARCHIVE)
    reference, photos = data / "reference", folder / "photos"
    for path in sorted((reference / "bottlenecks").glob("*/*.txt")):
        if (photos / path.parent.name / path.name.partition("_mobilenet")[0]).is_file():
            (folder / "reference" / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / "reference" / path.parent.name / path.name)
    for name in ("original_retrained_graph.pb", "original_retrained_labels.txt"):
        if (reference / name).is_file():
            (folder / "original").mkdir(exist_ok=True)
            shutil.copyfile(reference / name, folder / "original" / name)


def _write_networks(folder: Path) -> None:
    """Small networks with random weights: a frozen graph, and TensorFlow Hub modules of both formats."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(11)
    kernel = rng.normal(0, 0.3, (3, 3, 3, 8)).astype(np.float32)
    matrix = rng.normal(0, 1, (8, SIZE)).astype(np.float32)

    def vectors(images: Any, kernel: Any, matrix: Any) -> Any:
        convolved = tf.nn.relu(tf.nn.conv2d(images * 2 - 1, kernel, 2, "SAME"))
        return tf.matmul(tf.reduce_mean(convolved, [1, 2]), matrix)

    folder.mkdir()
    _write_graph(folder / "graph.pb", lambda images: tf.identity(vectors(images, kernel, matrix), name="features"))
    (folder / "broken.pb").write_bytes(b"\x0a\xff no graph")

    module = tf.Module()
    module.kernel, module.matrix = tf.Variable(kernel), tf.Variable(matrix)
    signature = [tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)]
    module.__call__ = tf.function(lambda images: vectors(images, module.kernel, module.matrix), input_signature=signature)
    tf.saved_model.save(module, str(folder / "module_2"))

    _write_old_module(folder / "module_1", kernel, matrix, vectors)
    with tarfile.open(folder / "module_2.tar.gz", "w:gz") as archive:
        archive.add(folder / "module_2", arcname=".")


def _write_graph(path: Path, network: Callable[[Any], Any]) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, (None, SIDE, SIDE, 3), name="input")
        tf.nn.softmax(tf.matmul(network(images), tf.eye(SIZE)), name="probabilities")
    path.write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


def _write_old_module(folder: Path, kernel: Any, matrix: Any, vectors: Callable[..., Any]) -> None:
    """Write a module in the format of TensorFlow 1: a SavedModel without tags, and `tfhub_module.pb`."""
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder))
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        images = v1.placeholder(tf.float32, (None, None, None, 3))
        variables = [
            v1.get_variable(name, initializer=value, use_resource=False)
            for name, value in (("kernel", kernel), ("matrix", matrix))
        ]
        output = vectors(images, *variables)
        made = {"default": v1.saved_model.predict_signature_def({"images": images}, {"default": output})}
        session.run(v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, [], made)
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # hub.ModuleDef {format: FORMAT_V3}
