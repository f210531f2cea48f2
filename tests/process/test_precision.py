"""Number formats other than float32: kept apart in the cache, and said where they gain nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

import retrain.process.precision as precision_module
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import BUNDLED_FILE, find_architecture
from retrain.errors import FlagError
from retrain.process.precision import BFLOAT16, FLOAT32, PRECISIONS, cache_name, prepare_precision, processor_gains


def test_each_precision_has_a_cache_of_its_own() -> None:
    names = [cache_name("mobilenet_0.25_128", precision) for precision in PRECISIONS]
    assert names == ["mobilenet_0.25_128", "mobilenet_0.25_128_bfloat16_products", "mobilenet_0.25_128_bfloat16"]


def test_each_precision_has_a_fingerprint_of_its_own() -> None:
    architecture, graph = find_architecture("tiny_resnet_128"), BUNDLED_FILE.read_bytes()
    assert len({load_backbone(architecture, graph, precision).fingerprint for precision in PRECISIONS}) == len(PRECISIONS)


def test_bfloat16_gives_nearly_the_same_bottlenecks_but_not_the_same() -> None:
    """A bfloat16 has 8 bits of mantissa: 0.4% a rounding. The bundled network's drift is of that size."""
    architecture, graph = find_architecture("tiny_resnet_128"), BUNDLED_FILE.read_bytes()
    images = np.random.default_rng(2).uniform(-1, 1, (4, 128, 128, 3)).astype(np.float32)
    exact, rough = (load_backbone(architecture, graph, precision).run(images) for precision in (FLOAT32, BFLOAT16))
    drift = np.linalg.norm(rough - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert (drift > 0).all() and (drift < 0.03).all()


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
