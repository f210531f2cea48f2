"""The number formats a network can be computed in. Only float32 gives the original's bottlenecks."""

import os
from pathlib import Path

FLOAT32 = "float32"
BFLOAT16_PRODUCTS = "bfloat16_products"  # float32 values, multiplied as bfloat16.
BFLOAT16 = "bfloat16"  # bfloat16 values as well.
PRECISIONS = (FLOAT32, BFLOAT16_PRODUCTS, BFLOAT16)


def prepare_precision(precision: str) -> None:
    """Has oneDNN multiply as the precision says. Call it before TensorFlow runs its first operation: oneDNN looks only once."""
    if precision == BFLOAT16_PRODUCTS:
        os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = "BF16"


def cache_name(architecture: str, precision: str) -> str:
    """The name that a network's bottlenecks are cached under: those of another precision are other numbers."""
    return architecture if precision == FLOAT32 else f"{architecture}_{precision}"


def processor_gains(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, as far as that can be told: it has AMX."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return True
