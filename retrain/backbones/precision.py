"""The number formats a network can be computed in. Only float32 gives the original's bottlenecks."""

import os
from pathlib import Path

from retrain.errors import FlagError

FLOAT32 = "float32"
BFLOAT16_PRODUCTS = "bfloat16_products"  # float32 values, multiplied as bfloat16.
BFLOAT16 = "bfloat16"  # bfloat16 values as well.
PRECISIONS = (FLOAT32, BFLOAT16_PRODUCTS, BFLOAT16)


_PRODUCTS = {True: "BF16", False: "STRICT"}
_settled: list[str] = []


def prepare_precision(precision: str) -> None:
    """Has oneDNN multiply as the precision says. It looks only once in a process, before TensorFlow runs its first operation.

    Raises:
        FlagError: an earlier call in this process has settled that products are rounded, or that they are not.
    """
    mode = _PRODUCTS[precision == BFLOAT16_PRODUCTS]
    if _settled and _settled != [mode]:
        raise FlagError(
            f"--precision must be the same for all runs of one process where one is {BFLOAT16_PRODUCTS}. Got {precision}."
        )
    _settled[:] = [mode]
    os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = mode


def cache_name(architecture: str, precision: str) -> str:
    """The name that a network's bottlenecks are cached under: those of another precision are other numbers."""
    return architecture if precision == FLOAT32 else f"{architecture}_{precision}"


def processor_gains(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, as far as that can be told: it has AMX."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return True
