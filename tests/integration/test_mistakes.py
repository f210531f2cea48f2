"""Typical mistakes at a shell: each command with its exact message and its exit code."""

import shutil
import zipfile
from pathlib import Path

import pytest

from retrain.backbones.published import BUNDLED_FILE
from tests.conftest import RunCli
from tests.support.commands import Outputs
from tests.support.exported import Exported
from tests.support.hiding import hiding

NETWORK = ["--architecture", "tiny_resnet_128"]
NAMED = "inception_v3, efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, tiny_resnet_128"
ALLOWED = (
    f"--architecture must be {NAMED}, mobilenet_<size>_<resolution>[_quantized], pixels_<1 to 512>, keras_<network> or the path "
    "of a frozen graph, of a Keras file or of a SavedModel's folder."
)
LIST = "--list_architectures lists them all."
FLAGS = "--help lists the flags."
NO_FOLDER = "Give a folder that holds one folder for each class."
QUOTES = "a path that has spaces needs quotes. The command is then: python -m"


@pytest.fixture(scope="module")
def shell(small_photos: Path, exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the commands are typed."""
    folder = tmp_path_factory.mktemp("shell")
    shutil.copytree(small_photos, folder / "photos")
    shutil.copytree(small_photos, folder / "my photos")
    shutil.copytree(small_photos, folder / "nested" / "pictures")
    photo = next((folder / "photos" / "red dots").iterdir())
    for copy in ("photo.jpg", "my photo.jpg", "other.keras", "nested/pictures/1.jpg"):
        shutil.copy(photo, folder / copy)
    shutil.copytree(folder / "photos" / "red dots", folder / "nested" / "dots")
    shutil.copy(exported.graph, folder / "flowers.pb")
    shutil.copytree(exported.folder / "saved", folder / "serving" / "1")
    shutil.copy(BUNDLED_FILE, folder / "network.pb")
    (folder / "labels.txt").write_text("daisy\nroses\n")
    (folder / "photos.csv").write_text("path,label\nphoto.jpg,daisy\n")
    (folder / "empty.pb").touch()
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        archive.writestr("model.pb", b"")
    return folder


# The command line, and the message. The exit code is 2.
TRAINING = {
    "nothing": ([], "--image_dir is required: Folder with one folder of images for each class. Or give --image_list."),
    "a mistyped flag": (["--imgae_dir", "photos"], f"--imgae_dir is no flag. Did you mean --image_dir? {FLAGS}"),
    "hyphens": (["--image-dir", "photos"], f"--image-dir is no flag. Did you mean --image_dir? {FLAGS}"),
    "one hyphen": (["-image_dir=photos"], f"-image_dir is no flag. Did you mean --image_dir? {FLAGS}"),
    "a part of flags": (
        ["--image_dir", "photos", "--steps", "100"],
        f"--steps is no flag. Did you mean --how_many_training_steps or --fine_tune_steps? {FLAGS}",
    ),
    "flags of another program": (["photos", "--epochs", "3", "--gpus=1"], f"--epochs is no flag.\n--gpus is no flag. {FLAGS}"),
    "a mistyped choice": (
        ["--image_dir", "photos", "--optimizer", "adma"],
        "--optimizer must be one of gradient_descent, momentum, adam, lbfgs. Got adma. Did you mean adam?",
    ),
    "a mistyped network": (
        ["--image_dir", "photos", "--architecture", "mobilnet_1.0_224"],
        f"{ALLOWED} Got mobilnet_1.0_224. Did you mean mobilenet_1.0_224? {LIST}",
    ),
    "a network with hyphens": (
        ["--image_dir", "photos", "--architecture", "inception-v3"],
        f"{ALLOWED} Got inception-v3. Did you mean inception_v3? {LIST}",
    ),
    "a mistyped layer": (
        ["--image_dir", "photos", "--architecture", "network.pb", "--bottleneck_layer", "TinyResnet/bottelneck"],
        "--architecture network.pb: --bottleneck_layer: the model has no layer named TinyResnet/bottelneck. It could be: "
        "TinyResnet/bottleneck.",
    ),
    "another number": (
        ["--image_dir", "photos", "--how_many_training_steps", "4,000"],
        "--how_many_training_steps must be an integer in [0, 1000000000]. Got 4,000.",
    ),
    "a percent sign": (
        ["--image_dir", "photos", "--validation_percentage", "10%"],
        "--validation_percentage must be an integer in [0, 100). Got 10%.",
    ),
    "a switch with a value": (
        ["--image_dir", "photos", "--resume", "true"],
        f"--resume is a switch, which takes no value. Got true. {FLAGS}",
    ),
    "a flag without its value": (["--image_dir", "photos", "--output_graph"], f"--output_graph needs a value. {FLAGS}"),
    "a mistyped folder": (
        ["--image_dir", "photoz"],
        f"--image_dir cannot be read: photoz (No such file or directory). {NO_FOLDER}",
    ),
    "an abbreviated flag": (["--image_d=photoz"], f"--image_dir cannot be read: photoz (No such file or directory). {NO_FOLDER}"),
    "a photo": (["--image_dir", "photo.jpg"], f"--image_dir cannot be read: photo.jpg (Not a directory). {NO_FOLDER}"),
    "a mistyped folder without its flag": (
        ["photoz", *NETWORK],
        f"photoz belongs to no flag: --image_dir takes an existing folder. {FLAGS}",
    ),
    "two folders": (["photos", "nested"], f"photos, nested belong to no flag: --image_dir takes one value. {FLAGS}"),
    "a second folder": (
        ["--image_dir", "photos", "nested"],
        f"nested belongs to no flag: --image_dir is photos already. {FLAGS}",
    ),
    "a table without its flag": (["photos.csv"], f"photos.csv belongs to no flag. Did you mean --image_list photos.csv? {FLAGS}"),
    "a path with a space": (
        ["--image_dir", "my", "photos", "--random_seed", "1"],
        f'my photos: {QUOTES} retrain --image_dir "my photos" --random_seed 1',
    ),
    "a path with a space after =": (["--image_dir=my", "photos"], f'my photos: {QUOTES} retrain "--image_dir=my photos"'),
    "a path with a space without its flag": (["my", "photos"], f'my photos: {QUOTES} retrain "my photos"'),
    "an output with a space": (
        ["--image_dir", "photos", "--output_graph", "my", "graph.pb"],
        f'my graph.pb: {QUOTES} retrain --image_dir photos --output_graph "my graph.pb"',
    ),
    "a level too high": (
        ["--image_dir", "nested"],
        "--image_dir nested may be one level too high. Its classes would be dots (25 images), pictures (1 image), but there are "
        "folders of images in nested/pictures: blue stripes, green rings, red dots. If these are classes, give --image_dir "
        "nested/pictures. If pictures is one class, move their images into nested/pictures itself.",
    ),
    "a photo as the network": (
        ["--image_dir", "photos", "--architecture", "photo.jpg"],
        "--architecture photo.jpg: it is a JPEG image, not a frozen TensorFlow graph (a GraphDef in binary form).",
    ),
    "a photo named as a Keras file": (
        ["--image_dir", "photos", "--architecture", "other.keras"],
        "--architecture other.keras: It is a JPEG image, not a Keras file (.keras or HDF5).",
    ),
    "a folder as the network": (
        ["--image_dir", "photos", "--architecture", "serving"],
        "--architecture must be a name, a file or the folder of a SavedModel. Got serving, a folder without saved_model.pb. "
        "Did you mean serving/1?",
    ),
    "a missing network": (
        ["--image_dir", "photos", "--architecture", "grahp.pb"],
        "--architecture grahp.pb: the file cannot be read (No such file or directory).",
    ),
}
LABELLING = {
    "nothing": ([], "--image is required: Images to label; a folder stands for all images below it."),
    "a graph without its flag": (
        ["flowers.pb", "photo.jpg"],
        f"flowers.pb belongs to no flag. Did you mean --graph flowers.pb? {FLAGS}",
    ),
    "a mistyped photo": (["--graph", "flowers.pb", "--image", "photoz.jpg"], "--image photoz.jpg does not exist."),
    "a mistyped photo without its flag": (
        ["--graph", "flowers.pb", "photo.jpg", "photoz.jpg"],
        f"photoz.jpg belongs to no flag: --image takes an existing image or folder. {FLAGS}",
    ),
    "a photo with a space": (
        ["--graph", "flowers.pb", "--image", "photo.jpg", "my", "photo.jpg"],
        f'my photo.jpg: {QUOTES} label_image --graph flowers.pb --image photo.jpg "my photo.jpg"',
    ),
    "a mistyped format": (
        ["--graph", "flowers.pb", "--image", "photo.jpg", "--output_format", "jsn"],
        "--output_format must be one of text, json, csv. Got jsn. Did you mean json?",
    ),
    "a mistyped input": (
        ["--graph", "flowers.pb", "--image", "photo.jpg", "--input_layer", "imput"],
        "--input_layer: the model has no layer named imput. It could be: input.",
    ),
    "a mistyped output": (
        ["--graph", "flowers.pb", "--image", "photo.jpg", "--output_layer", "final_resutl"],
        "--output_layer: the model has no layer named final_resutl. It could be: final_result.",
    ),
    "a photo as the graph": (
        ["--graph", "photo.jpg", "--image", "photo.jpg"],
        "--graph photo.jpg is a JPEG image, not a trained graph.",
    ),
    "labels as the graph": (
        ["--graph", "labels.txt", "--image", "photo.jpg"],
        "--graph labels.txt is a text file, not a trained graph.",
    ),
    "an archive as the graph": (
        ["--graph", "model.zip", "--image", "photo.jpg"],
        "--graph model.zip is a ZIP archive, not a trained graph. Unpack it, and give the model that is in it.",
    ),
    "an empty graph": (
        ["--graph", "empty.pb", "--image", "photo.jpg"],
        "--graph empty.pb is an empty file, not a trained graph. Get a new copy.",
    ),
    "a folder above a SavedModel": (
        ["--graph", "serving", "--image", "photo.jpg"],
        "--graph serving is a folder, but no SavedModel: there is no saved_model.pb in it. Did you mean serving/1?",
    ),
    "a file of a SavedModel": (
        ["--graph", "serving/1/saved_model.pb", "--image", "photo.jpg"],
        "--graph serving/1/saved_model.pb is a part of a SavedModel. Give its folder: serving/1",
    ),
    "photos as the labels": (
        ["--graph", "flowers.pb", "--labels", "photo.jpg", "--image", "photo.jpg"],
        "--labels photo.jpg cannot be read (it is not UTF-8 text).",
    ),
    "the labels of another graph": (
        ["--graph", "flowers.pb", "--labels", "labels.txt", "--image", "photo.jpg"],
        "The number of labels must be 3, as many as the output final_result:0 has scores. "
        "There are 2 labels. Set --labels to the labels "
        "that the graph was trained with.",
    ),
    "a folder under another flag": (
        ["--graph", "flowers.pb", "--image_dir", "photos"],
        "--image_dir is only for --doctor: name images with --image.",
    ),
}
OTHERS = {
    "values of a sweep after spaces": (
        ["retrain.sweep", "photos", "--learning_rate", "0.1", "0.01"],
        f"--learning_rate takes one value, 0.1, before 0.01. Several values of a flag are joined by commas. {FLAGS}",
    ),
    "a mistyped flag of a sweep": (
        ["retrain.sweep", "photos", "--learning-rate", "0.1,0.01"],
        f"--learning-rate is no flag. Did you mean --learning_rate? {FLAGS}",
    ),
    "a mistyped flag of a script": (
        ["scripts.evaluate", "flowers.pb", "--image_dri", "photos"],
        f"--image_dri is no flag. Did you mean --image_dir? {FLAGS}",
    ),
    "a photo as the graph of a script": (
        ["scripts.count_ops", "photo.jpg"],
        "photo.jpg is a JPEG image, not a frozen TensorFlow graph (a GraphDef in binary form).",
    ),
    "an argument too many": (["scripts.count_ops", "flowers.pb", "MatMul", "Add"], f"Add belongs to no flag. {FLAGS}"),
}
MISTAKES = [
    *(pytest.param(["retrain", *argv], message, id=f"training: {name}") for name, (argv, message) in TRAINING.items()),
    *(pytest.param(["label_image", *argv], message, id=f"labelling: {name}") for name, (argv, message) in LABELLING.items()),
    *(pytest.param(argv, message, id=name) for name, (argv, message) in OTHERS.items()),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES)
def test_a_mistake(command: list[str], message: str, run_cli: RunCli, shell: Path, tmp_path: Path) -> None:
    # Nothing is to be written into /tmp; a message that shows the whole command comes before anything is written.
    outputs = Outputs(tmp_path).flags() if command[0] == "retrain" and QUOTES not in message else []
    done = run_cli(*command, *outputs, cwd=shell)
    *log, last = done.stderr.split("error: ")
    assert (done.returncode, done.stdout, last) == (2, "", f"{message}\n")
    assert all(line.startswith("WARNING: ") for line in "".join(log).splitlines())


def test_a_graph_as_the_image(run_cli: RunCli, shell: Path) -> None:
    done = run_cli("label_image", "--graph", "flowers.pb", "--image", "flowers.pb", cwd=shell)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: flowers.pb cannot be labelled: it is no image in a known format\n"


def test_a_missing_package(run_cli: RunCli, shell: Path, tmp_path: Path) -> None:
    done = run_cli("retrain", "photos", *NETWORK, cwd=shell, env=hiding(tmp_path, "PIL"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "photos: taken for --image_dir.\nerror: The package pillow is missing. Install it: pip install pillow\n"
    )


def test_a_folder_without_its_flag_is_trained_on(run_cli: RunCli, shell: Path, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    done = run_cli("retrain", "photos", *NETWORK, "--how_many_training_steps=20", *outputs.flags(), cwd=shell)
    assert done.returncode == 0
    assert done.stderr.startswith("photos: taken for --image_dir.\n")
    assert outputs.labels.read_text().splitlines() == ["blue stripes", "green rings", "red dots"]


def test_photos_without_their_flag_are_labelled(run_cli: RunCli, shell: Path) -> None:
    argv = ["label_image", "my photo.jpg", "--graph", "flowers.pb", "--image", "photo.jpg", "--output_format=csv", "--top_k=1"]
    done = run_cli(*argv, cwd=shell)
    assert (done.returncode, done.stderr) == (0, "my photo.jpg: taken for --image.\n")
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["image", "photo.jpg", "my photo.jpg"]
