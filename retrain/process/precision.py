"""Number formats in which a network can compute. Only float32 gives the original's bottlenecks."""

import hashlib
import os
import re
from pathlib import Path

from retrain.errors import FlagError
from retrain.input_spec import FULL, IGNORE, RGB, SQUASH, InputSpec

FLOAT32 = "float32"
BFLOAT16_PRODUCTS = "bfloat16_products"  # float32 values, multiplied as bfloat16.
BFLOAT16 = "bfloat16"  # bfloat16 values as well.
PRECISIONS = (FLOAT32, BFLOAT16_PRODUCTS, BFLOAT16)
# A file's name has at most 255 bytes: an image's name, or 64 digits that stand for it, `_`, this, the longest precision, `.txt`.
MAX_CACHE_NAME_BYTES = 255 - 64 - len("_") - len("_bfloat16_products") - len(".txt")

_PRODUCTS = {True: "BF16", False: "STRICT"}
_settled: list[str] = []


def prepare_precision(precision: str) -> None:
    """Make oneDNN multiply in the precision. oneDNN reads this setting once, before TensorFlow runs its first operation.

    Raises:
        FlagError: an earlier run in this process needs the other setting.
    """
    mode = _PRODUCTS[precision == BFLOAT16_PRODUCTS]
    if _settled and _settled != [mode]:
        raise FlagError(
            f"--precision must be the same for all runs of one process where one is {BFLOAT16_PRODUCTS}. Got {precision}."
        )
    _settled[:] = [mode]
    os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = mode


def cache_name(architecture: str, precision: str, spec: InputSpec | None = None) -> str:
    """Return the name under which a network's bottlenecks are cached; each precision and each way of decoding has its own.

    The handle of a Hub module, or the path of a graph, becomes part of a file's name as in the original: `://`, `/`, `:` and the
    backslash each become `~`. A name that is too long for a file, which the original could not cache, becomes its SHA-256.
    """
    name = re.sub(r"://|[/:\\]", "~", architecture)
    ending = "" if spec is None or spec.resize == SQUASH else f"_{spec.resize}"
    ending += "" if spec is None or spec.decode_scale == FULL else "_scaled"
    ending += "" if spec is None or spec.exif_orientation == IGNORE else "_oriented"
    ending += "" if spec is None or spec.channel_order == RGB else f"_{spec.channel_order}"
    if len(os.fsencode(name)) > MAX_CACHE_NAME_BYTES - len(ending):
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return name + ending if precision == FLOAT32 else f"{name}{ending}_{precision}"


def processor_gains(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return True if this processor may multiply bfloat16 faster than float32: it has AMX, or says nothing about itself."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return True
