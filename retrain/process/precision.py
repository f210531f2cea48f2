"""The number formats a network can be computed in. Only float32 gives the original's bottlenecks."""

import hashlib
import os
import re
from pathlib import Path

from retrain.errors import FlagError

FLOAT32 = "float32"
BFLOAT16_PRODUCTS = "bfloat16_products"  # float32 values, multiplied as bfloat16.
BFLOAT16 = "bfloat16"  # bfloat16 values as well.
PRECISIONS = (FLOAT32, BFLOAT16_PRODUCTS, BFLOAT16)
# A file's name has at most 255 bytes: an image's name, or 64 digits that stand for it, `_`, this, the longest precision, `.txt`.
MAX_CACHE_NAME_BYTES = 255 - 64 - len("_") - len("_bfloat16_products") - len(".txt")

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
    """The name that a network's bottlenecks are cached under: those of another precision are other numbers.

    The handle of a Hub module, or the path of a graph, becomes part of a file's name as in the original: `://`, `/`, `:` and the
    backslash are each turned into `~`. One too long for that, which the original could not cache, is known by its SHA-256.
    """
    name = re.sub(r"://|[/:\\]", "~", architecture)
    if len(os.fsencode(name)) > MAX_CACHE_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return name if precision == FLOAT32 else f"{name}_{precision}"


def processor_gains(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, as far as that can be told: it has AMX."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return True
