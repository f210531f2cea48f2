"""Files and folders that are given as a model and are none: their kind, for errors. Needs only the standard library."""

import os
import re

MODEL_ENDINGS = (".pb", ".keras", ".h5", ".hdf5", ".tflite", ".onnx")
SAVED_MODEL = "saved_model.pb"  # The file that makes a folder a SavedModel.
MOST_BYTES = 4096  # Of a file's start, which tell its kind.
UNPACK = "Unpack it, and give the model that is in it."
# How files begin, of what kind they are, and what to do about it. Sources: the formats' specifications.
KINDS = (
    (rb"\xff\xd8\xff", "a JPEG image", ""),
    (rb"\x89PNG\r\n", "a PNG image", ""),
    (rb"GIF8", "a GIF image", ""),
    (rb"BM.{4}\0\0\0\0", "a BMP image", ""),
    (rb"II\*\0|MM\0\*", "a TIFF image", ""),
    (rb"RIFF.{4}WEBP", "a WebP image", ""),
    (rb"\0\0\0.ftyp", "an image or a film (HEIF, AVIF or MP4)", ""),
    (rb"%PDF", "a PDF file", ""),
    (rb"\x89HDF\r\n", "an HDF5 file, as Keras writes them", ""),
    (rb".{4}TFL3", "a TensorFlow Lite file", ""),
    (rb"PK\x03\x04.{0,200}/data\.pkl", "a PyTorch file", "Export the model to another format first, such as ONNX."),
    (rb"PK\x03\x04", "a ZIP archive", UNPACK),
    (rb"\x1f\x8b", "a gzip archive", UNPACK),
    (rb"$", "an empty file", "Get a new copy."),
)
KINDS_OF_TEXT = (
    (r"version https://git-lfs", "a pointer of Git LFS", "Get the file itself: git lfs pull"),
    (r"\s*<(!doctype )?html", "an HTML page", "Download the file itself."),
    (r"\s*node ?\{", "a graph in text form", "Only graphs in binary form (.pb) can be read."),
    (r"", "a text file", ""),
)
TEXT_CONTROLS = set("\t\n\r\f")


def wrong_kind(data: bytes, wanted: str) -> str | None:
    """Return `is a JPEG image, not a trained graph.`, with advice, for a file of a kind that is no model; else None.

    Args:
        data: the file's content, or its first MOST_BYTES.
        wanted: what it should be, such as `a trained graph`.
    """
    kind, advice = _kind(data[:MOST_BYTES])
    return f"is {kind}, not {wanted}.{f' {advice}' if advice else ''}" if kind else None


def part_of_saved_model(path: str, data: bytes) -> str | None:
    """Return `is a part of a SavedModel.`, with advice, for the file of that name, which begins with a number; else None."""
    if os.path.basename(path) != SAVED_MODEL or data[:1] != b"\x08":
        return None
    return f"is a part of a SavedModel. Give its folder: {os.path.dirname(path) or '.'}"


def models_in(folder: str) -> str:
    """Return a sentence, after a space, with the models in a folder that is none itself; empty if there are none."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ""
    files = [name for name in names if name.lower().endswith(MODEL_ENDINGS)]
    inner = [name for name in names if os.path.isfile(os.path.join(folder, name, SAVED_MODEL))]
    found = [os.path.join(folder, name) for name in (*files, *inner)]
    return f" Did you mean {' or '.join(found)}?" if 0 < len(found) <= 3 else ""


def _kind(start: bytes) -> tuple[str, str]:
    """Return the kind and what to do about it; both are empty if it is unknown."""
    for pattern, kind, advice in KINDS:
        if re.match(pattern, start, re.DOTALL):
            return kind, advice
    text = start.decode("utf-8-sig", "replace")
    if len(start) == MOST_BYTES:
        text = text[:-1]  # It may have been cut off.
    if "\ufffd" in text or any(not each.isprintable() and each not in TEXT_CONTROLS for each in text):
        return "", ""
    return next((kind, advice) for pattern, kind, advice in KINDS_OF_TEXT if re.match(pattern, text, re.IGNORECASE))
