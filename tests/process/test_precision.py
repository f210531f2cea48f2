"""Number formats other than float32: cached apart, refused if they have no effect, warned of if they gain nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

import retrain.process.precision as precision_module
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.pixels import pixels_graph
from retrain.backbones.published import BUNDLED_FILE
from retrain.errors import FlagError
from retrain.graphdef.precision_effect import check_network, check_processor
from retrain.process.precision import (
    BFLOAT16,
    BFLOAT16_PRODUCTS,
    FLOAT32,
    PRECISIONS,
    cache_name,
    prepare_precision,
    processor_gains,
)
from tests.conftest import RunCli
from tests.support.commands import Outputs


def test_each_precision_has_a_cache_of_its_own() -> None:
    names = [cache_name("mobilenet_0.25_128", precision) for precision in PRECISIONS]
    assert names == ["mobilenet_0.25_128", "mobilenet_0.25_128_bfloat16_products", "mobilenet_0.25_128_bfloat16"]


def test_each_precision_has_a_fingerprint_of_its_own() -> None:
    architecture, graph = find_architecture("tiny_resnet_128"), BUNDLED_FILE.read_bytes()
    assert len({load_backbone(architecture, graph, precision).fingerprint for precision in PRECISIONS}) == len(PRECISIONS)


def ignored(precision: str) -> str:
    return (
        f"--precision must be float32: TensorFlow ignores {precision} on this processor and computes in float32. Got {precision}."
    )


def test_bfloat16_changes_bottlenecks_a_little_or_is_refused() -> None:
    """A bfloat16 has 8 bits of mantissa: 0.4% a rounding. The bundled network's drift is of that size."""
    architecture, graph = find_architecture("tiny_resnet_128"), BUNDLED_FILE.read_bytes()
    images = np.random.default_rng(2).uniform(-1, 1, (4, 128, 128, 3)).astype(np.float32)
    exact, rough = (load_backbone(architecture, graph, precision).run(images) for precision in (FLOAT32, BFLOAT16))
    drift = np.linalg.norm(rough - exact, axis=1) / np.linalg.norm(exact, axis=1)
    try:
        check_processor(BFLOAT16)
    except FlagError as error:
        assert str(error) == ignored(BFLOAT16)
        assert not drift.any()
    else:
        assert (drift > 0).all() and (drift < 0.03).all()


@pytest.mark.slow
@pytest.mark.parametrize("precision", [BFLOAT16, BFLOAT16_PRODUCTS])
def test_a_precision_that_the_processor_ignores_is_refused(
    precision: str, run_cli: RunCli, small_photos: Path, tmp_path: Path
) -> None:
    """TensorFlow without oneDNN ignores both on every processor."""
    outputs = Outputs(tmp_path)
    flags = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", f"--precision={precision}", *outputs.flags()]
    process = run_cli("retrain", *flags, env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert (process.returncode, process.stdout, process.stderr) == (2, "", f"error: {ignored(precision)}\n")
    assert not outputs.bottlenecks.exists()


def test_float32_is_never_refused() -> None:
    check_processor(FLOAT32)
    check_network(FLOAT32, GraphDef.FromString(pixels_graph(find_architecture("pixels_28"))))


def test_a_network_without_products_takes_float32_alone() -> None:
    with pytest.raises(FlagError) as caught:
        check_network(BFLOAT16, GraphDef.FromString(pixels_graph(find_architecture("pixels_28"))))
    assert str(caught.value) == (
        "--precision must be float32: the network has no convolution and no matrix product to compute in bfloat16. Got bfloat16."
    )
    check_network(BFLOAT16, GraphDef.FromString(BUNDLED_FILE.read_bytes()))


def test_products_are_rounded_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "_settled", [])
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")  # As a shell may have it.
    prepare_precision("float32")
    prepare_precision("bfloat16")
    assert os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] == "STRICT"


def test_one_process_cannot_round_products_in_one_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "_settled", [])
    monkeypatch.delenv("ONEDNN_DEFAULT_FPMATH_MODE", raising=False)
    prepare_precision("bfloat16_products")
    assert os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"
    with pytest.raises(FlagError) as caught:
        prepare_precision("float32")
    assert str(caught.value) == (
        "--precision must be the same for all runs of one process where one is bfloat16_products. Got float32."
    )


@pytest.mark.parametrize(("flags", "gains"), [("fpu amx_bf16 avx2", True), ("fpu avx512_bf16", False)])
def test_processors_with_amx_gain(tmp_path: Path, flags: str, gains: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert processor_gains(tmp_path / "cpuinfo") is gains


def test_where_nothing_is_known_of_the_processor_nothing_is_said(tmp_path: Path) -> None:
    assert processor_gains(tmp_path / "none")
