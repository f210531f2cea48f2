"""Exports for other runtimes: what they hold, that they say what the frozen graph says, and what is said where they do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from retrain.__main__ import main
from retrain.arrays import FloatArray
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.hub.module import load_hub_module
from retrain.backbones.published import INCEPTION
from retrain.data.decode import image_from_file
from retrain.errors import FlagError, OutputError
from retrain.export.tflite import tflite_bytes
from retrain.export.verify import compare
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.inference_graph import inference_graph
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.input_spec import InputSpec
from retrain.options.export_formats import EXPORTS, ONNX, check_packages, export_path
from retrain.options.network import NetworkOptions
from retrain.runtimes.tflite import open_tflite
from tests.conftest import RunCli
from tests.support.exported import FORMATS, HAS_ONNX, NO_ONNX, Exported, export_all
from tests.support.hub_modules import SIDE, write_tf1_module, write_tf2_module
from tests.support.stand_ins import tiny_inception_graph

# TensorFlow's interpreter says at each use that it will move to another package.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")]
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason=NO_ONNX)
# Bounds on a score's difference, from what the number formats can hold: float32 sums in another order, 11 bits of float16; of
# 8 bits no bound is known beforehand, and 0.25 would already turn most answers over.
TOLERANCES = {
    "tflite": 1e-4,
    "tflite:float16": 0.02,
    "tflite:dynamic": 0.25,
    "tflite:int8": 0.25,
    ONNX: 1e-4,
    "saved_model": 1e-5,
}


@pytest.fixture(scope="module")
def photos(few_photos: list[Path]) -> list[Path]:
    return few_photos


def run_tflite(path: Path, images: FloatArray) -> FloatArray:
    """One by one, with TensorFlow's interpreter as its documentation says."""
    interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    [source], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(found)


@pytest.mark.parametrize(
    ("graph", "export", "path"),
    [
        ("a/retrained_graph.pb", "tflite", "a/retrained_graph.tflite"),
        ("a/retrained_graph.pb", "tflite:float16", "a/retrained_graph.float16.tflite"),
        ("a/retrained_graph.pb", "tflite:dynamic", "a/retrained_graph.dynamic.tflite"),
        ("a.b/graph", "tflite:int8", "a.b/graph.int8.tflite"),
        ("my.flowers.pb", "onnx", "my.flowers.onnx"),
    ],
)
def test_exports_lie_beside_the_graph(graph: str, export: str, path: str) -> None:
    assert export_path(graph, export) == path


def test_every_format_was_written_and_says_how_it_agrees(exported: Exported, photos: list[Path]) -> None:
    assert [each.format for each in exported.reports] == [*FORMATS, "saved_model"]
    assert {each.n_images for each in exported.reports} == {len(photos)}
    for each in exported.reports:
        assert Path(each.path).exists()
        assert each.largest_difference <= TOLERANCES[each.format], each
        assert each.n_same_label >= len(photos) - (each.largest_difference > 0.02), each


@pytest.mark.parametrize("export", [export for export in EXPORTS if export != ONNX])
def test_the_interpreter_finds_the_graphs_scores(export: str, exported: Exported, photos: list[Path]) -> None:
    """Not by way of the project's own runtime: what is reported must be what a phone gets."""
    expected = exported.expected(photos)
    images = images_of(exported, photos)
    found = run_tflite(exported.path(export), images)
    difference = float(np.abs(found - expected).max())
    assert difference <= TOLERANCES[export]
    [reported] = [each for each in exported.reports if each.format == export]
    assert reported.largest_difference == pytest.approx(difference, abs=2e-3)


def images_of(exported: Exported, photos: list[Path]) -> FloatArray:
    return np.stack([image_from_file(str(photo), InputSpec(128, 128, 127.5, 127.5)) for photo in photos])


def test_an_int8_file_computes_in_int8_between_float32_ends(exported: Exported) -> None:
    interpreter = tf.lite.Interpreter(
        model_path=str(exported.path("tflite:int8")),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    [source], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], output["dtype"]) == (np.float32, np.float32)
    floats = {each["name"] for each in interpreter.get_tensor_details() if each["dtype"] is np.float32}
    assert floats == {source["name"], output["name"]}


def test_smaller_formats_are_smaller(exported: Exported) -> None:
    sizes = {export: exported.path(export).stat().st_size for export in EXPORTS if export != ONNX}
    assert sizes["tflite:float16"] < 0.55 * sizes["tflite"]
    assert sizes["tflite:int8"] < 0.3 * sizes["tflite"]
    assert sizes["tflite:dynamic"] < 0.3 * sizes["tflite"]


def test_tflite_files_carry_the_description(exported: Exported) -> None:
    for export in EXPORTS:
        if export != ONNX:
            path = exported.path(export)
            assert open_tflite(path.read_bytes(), str(path)).metadata == exported.description


@needs_onnx
def test_onnx_carries_the_description_and_takes_any_batch(exported: Exported, photos: list[Path]) -> None:
    import onnx
    import onnxruntime

    model = onnx.load(exported.path(ONNX))
    onnx.checker.check_model(model, full_check=True)
    assert {each.key: json.loads(each.value) for each in model.metadata_props}[NODE_NAME] == json.loads(
        exported.description.to_json()
    )
    assert [(each.domain, each.version) for each in model.opset_import if not each.domain] == [("", 13)]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [source], [output] = session.get_inputs(), session.get_outputs()
    assert (source.name, source.shape, source.type) == ("input", ["N", 128, 128, 3], "tensor(float)")
    assert (output.name, output.shape) == ("final_result", ["N", 3])
    expected, images = exported.expected(photos), images_of(exported, photos)
    for count in (1, 3, len(photos)):
        np.testing.assert_allclose(session.run(None, {"input": images[:count]})[0], expected[:count], atol=1e-4)


@pytest.mark.parametrize("export", [export for export in FORMATS if export != "tflite:int8"])
def test_inception_of_2015_is_exported_without_its_decoder(export: str, photos: list[Path], tmp_path: Path) -> None:
    """Its batch is frozen at one image, its input is no placeholder, and its batch normalisation no runtime knows any more."""
    backbone = load_backbone(find_architecture(INCEPTION), tiny_inception_graph().SerializeToString())
    exported = export_all(tmp_path, backbone, photos[:2], [export])
    assert exported.reports[0].n_images == exported.reports[0].n_same_label == 2
    assert exported.reports[0].largest_difference <= TOLERANCES[export]


def test_a_converters_graph_begins_at_the_pixels() -> None:
    backbone = load_backbone(find_architecture(INCEPTION), tiny_inception_graph().SerializeToString())
    about = Description(("a", "b"), "Mul:0", 299, 299, 128.0, 128.0, "softmax:0", INCEPTION)
    before = backbone.graph_def.SerializeToString(deterministic=True)
    names = {node.name: node.op for node in inference_graph(backbone.graph_def, about).node}
    assert names["Mul"] == "Placeholder"
    assert not {"DecodeJpeg", "Cast", "ResizeBilinear", "Sub"} & set(names)
    assert not {"CheckNumerics", "PlaceholderWithDefault", "BatchNormWithGlobalNormalization"} & set(names.values())
    assert backbone.graph_def.SerializeToString(deterministic=True) == before


def test_what_tflite_does_not_have_is_an_error_in_words() -> None:
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], "input")
        tf.reduce_mean(tf.raw_ops.Betainc(a=image, b=image, x=image), [1, 2], name="final_result")
    about = Description(("a", "b", "c"), "input:0", 8, 8, 0.0, 255.0, "final_result:0", "")
    with pytest.raises(OutputError) as caught:
        tflite_bytes(from_tensorflow(graph.as_graph_def()), about, "tflite", np.zeros((0, 8, 8, 3), np.float32))
    assert str(caught.value).startswith("--export tflite: the network cannot be converted to TensorFlow Lite (")


def test_a_missing_package_is_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("tf2onnx", "onnxruntime") else True)
    check_packages(["tflite"])
    with pytest.raises(FlagError) as caught:
        check_packages(["tflite", "onnx"])
    assert str(caught.value) == "--export onnx needs tf2onnx, onnxruntime. Install with this project: pip install '.[onnx]'"


# How well an export agrees


def scores(best: list[int]) -> FloatArray:
    """Of 3 classes, 0.8 for the best."""
    return np.where(np.eye(3)[best] > 0, 0.8, 0.1).astype(np.float32)


@pytest.mark.parametrize(
    ("export", "n_wrong", "level"),
    [
        ("tflite", 0, "INFO"),
        ("tflite", 1, "WARNING"),
        ("tflite:float16", 1, "WARNING"),
        ("onnx", 1, "WARNING"),
        ("saved_model", 1, "WARNING"),
        ("tflite:int8", 8, "INFO"),
        ("tflite:int8", 9, "WARNING"),
        ("tflite:dynamic", 8, "INFO"),
        ("tflite:dynamic", 9, "WARNING"),
    ],
)
def test_less_agreement_than_it_should_have_is_a_warning(export: str, n_wrong: int, level: str, logged: list[str]) -> None:
    expected, found = scores([0] * 60), scores([1] * n_wrong + [0] * (60 - n_wrong))
    agreement = compare("folder/flowers.x", export, "testing", found, expected)
    difference = 0.7 if n_wrong else 0.0
    assert (agreement.n_images, agreement.n_same_label) == (60, 60 - n_wrong)
    assert agreement.largest_difference == pytest.approx(difference)
    sentence = f"{60 - n_wrong} of 60 test images get the graph's label; largest difference of a score {difference:.4f}."
    name = "SavedModel folder/flowers.x" if export == "saved_model" else "flowers.x"
    assert logged == [f"{level}: {name}: {sentence}"]


def test_scores_that_are_no_numbers_are_a_warning(logged: list[str]) -> None:
    found = scores([0] * 4)
    found[2, 1] = np.nan
    compare("flowers.tflite", "tflite:int8", "validation", found, scores([0] * 4))
    [line] = logged
    assert line.startswith("WARNING: flowers.tflite: ")
    assert line.endswith(" of 4 validation images get the graph's label; largest difference of a score nan.")


# The command


@pytest.mark.slow
def test_the_command_exports_and_reports(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    """As users type it, with another name of the graph; what the packages print by themselves must not be seen."""
    done = run_cli(
        *("retrain", "--image_dir", small_photos, "--architecture", "tiny_resnet_128", "--how_many_training_steps", "50"),
        *("--bottleneck_dir", "bottlenecks", "--summaries_dir", "summaries", "--checkpoint_path", "checkpoint/head"),
        *("--output_graph", "dots.pb", "--output_labels", "dots.txt", "--eval_step_interval", "50"),
        *("--saved_model_dir", "served", "--export", "tflite:Float16", *(["onnx"] if HAS_ONNX else [])),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "get the graph's label" in line]
    names = ["dots.float16.tflite", *(["dots.onnx"] if HAS_ONNX else [])]
    assert [line.partition(":")[0] for line in lines] == [*names, "SavedModel served"]
    assert all(": 9 of 9 test images get the graph's label; largest difference of a score 0.0" in line for line in lines)
    assert done.stderr.splitlines()[-2].startswith("Graph written to ")
    foreign = [line for line in done.stderr.splitlines() if not line.startswith("WARNING: With 9 test images, ")]
    assert not [line for line in foreign if "arning" in line or "deprecated" in line or "XNNPACK" in line]
    assert {path.name for path in tmp_path.iterdir()} == {
        *(
            "bottlenecks",
            "summaries",
            "checkpoint",
            "dots.pb",
            "dots.txt",
            "dots_split.csv",
            "dots_report",
            "dots_report.html",
            "served",
            *names,
        )
    }


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(
    small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "graph.int8.tflite"
    place.mkdir()
    places = {"output_graph": "graph.pb", "output_labels": "labels.txt", "checkpoint_path": "head", "bottleneck_dir": "cache"}
    flags = [f"--{flag}={tmp_path / name}" for flag, name in {**places, "summaries_dir": "summaries"}.items()]
    assert main([f"--image_dir={small_photos}", *flags, "--export=tflite:int8"]) == 2
    assert capsys.readouterr().err == f"error: --export must be a file. Got {place}, which is a folder.\n"
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.slow
def test_all_exports_agree_on_the_60_test_photos(run_cli: RunCli, data_dir: Path, tmp_path: Path) -> None:
    """The head as trained, on the photos that training has not seen; the split is that of `../shared/flower_photos`."""
    (tmp_path / "shared").symlink_to(data_dir)
    (tmp_path / "run").mkdir()
    shutil.copy(data_dir / "models" / "mobilenet_v1_0.25_128_frozen.tgz", tmp_path)
    done = run_cli(
        *("retrain", "--image_dir", "../shared/flower_photos", "--architecture", "mobilenet_0.25_128"),
        *("--model_dir", tmp_path, "--random_seed", "1", "--eval_step_interval", "4000", "--bottleneck_dir", tmp_path / "cache"),
        *("--summaries_dir", "summaries", "--checkpoint_path", "checkpoint/head"),
        *("--output_graph", "flowers.pb", "--output_labels", "flowers.txt", "--saved_model_dir", "saved", "--export", *FORMATS),
        cwd=tmp_path / "run",
    )
    assert done.returncode == 0, done.stderr
    lines = [line.partition(": ") for line in done.stderr.splitlines() if "get the graph's label" in line]
    same = {name: int(rest.split()[0]) for name, _, rest in lines}
    assert all(" of 60 test images " in rest for *_, rest in lines)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert all(line.startswith("WARNING: The head fits its training images ") for line in warnings)
    assert same.pop("flowers.int8.tflite") >= 52
    assert same.pop("flowers.dynamic.tflite") >= 52
    names = ["flowers.tflite", "flowers.float16.tflite", *(["flowers.onnx"] if HAS_ONNX else []), "SavedModel saved"]
    assert same == dict.fromkeys(names, 60)


def test_the_quantized_mobilenet_is_exported(data_dir: Path, photos: list[Path], tmp_path: Path, logged: list[str]) -> None:
    """Its weights are 8 bits in the graph, which no converter takes as they are."""
    shutil.copy(data_dir / "models" / "mobilenet_v1_0.25_128_frozen.tgz", tmp_path)
    architecture = find_architecture("mobilenet_0.25_128_quantized")
    backbone = load_backbone(architecture, read_graph_file(architecture, str(tmp_path)))
    formats = [export for export in FORMATS if export in ("tflite", ONNX)]
    exported = export_all(tmp_path, backbone, photos, formats)
    assert all(each.largest_difference < 1e-4 for each in exported.reports)
    assert not [line for line in logged if not line.startswith("INFO: ")]


@pytest.mark.parametrize("write_module", [write_tf1_module, write_tf2_module])
def test_a_hub_modules_classifier_is_exported(write_module: Callable[[Path], Path], photos: list[Path], tmp_path: Path) -> None:
    backbone = load_hub_module(str(write_module(tmp_path / "module")), NetworkOptions(input_height=SIDE, input_width=SIDE))
    formats = [export for export in FORMATS if export in ("tflite", ONNX)]
    exported = export_all(tmp_path, backbone, photos, formats)
    assert len(exported.reports) == len(formats) + 1
    assert all(each.largest_difference < 1e-4 for each in exported.reports)
