"""Independent reading of EfficientNet-Lite's checkpoints, by PyTorch: the largest difference of a logit.

PyTorch is not among this project's packages. The first command writes what the networks' graphs compute of photos, and of three
images that a formula makes; the second one needs nothing but PyTorch and NumPy, and may run in another environment:

    python -m benchmarks.efficientnet_reference ours --image_dir flower_photos --work_dir compared
    python benchmarks/efficientnet_reference.py reference --work_dir compared

With `--json tests/backbones/efficientnet_lite/reference_logits.json` the second command also writes its logits of the three images,
which a test compares with the graphs'. The reading shares no code with this project's: PyTorch loads the file, layers and filters
are read from the tensors' shapes, BatchNorm is computed and not folded.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

N_PHOTOS = 20
EVERY = 10  # Of the logits in the JSON file.
STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # EfficientNet-B0, table 1 of Tan and Le, 2019.
EPSILON = 1e-3
INPUTS = ("photos", "formula")
Images = npt.NDArray[np.float32]


def formula_images(size: int) -> Images:
    """Return three images as the networks take them, float32 [3, size, size, 3]: a gradient, stripes, and a coarse pattern."""
    y, x, channel = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    gradient = (x * 255 // size + y * channel * 60 // size) % 256
    stripes = ((x + 2 * y) // 16 + channel) % 3 * 120
    pattern = (x // 8 * 37 + y // 8 * 101 + (x // 8) * (y // 8) * 13 + channel * 29) % 256
    return ((np.stack([gradient, stripes, pattern]) - 127.0) / 128.0).astype(np.float32)


def ours(image_dir: str, work_dir: Path) -> None:
    """Write each installed network's inputs and logits, and the paths of the checkpoints."""
    from retrain.backbones.efficientnet_lite.graph_file import made_graph
    from retrain.backbones.efficientnet_lite.package import find_checkpoint
    from retrain.backbones.efficientnet_lite.variants import PIXEL_MEAN, PIXEL_STD, VARIANTS
    from retrain.data.decode import image_from_file
    from retrain.graphdef.run import batch_function, parse_graph
    from retrain.input_spec import InputSpec

    work_dir.mkdir(parents=True, exist_ok=True)
    found = sorted(Path(image_dir).rglob("*.jpg"))
    paths = found[:: max(1, len(found) // N_PHOTOS)][:N_PHOTOS]
    checkpoints = {}
    for name, variant in VARIANTS.items():
        checkpoints[name] = find_checkpoint(variant)
        size = variant.input_size
        spec = InputSpec(height=size, width=size, mean=PIXEL_MEAN, std=PIXEL_STD)
        photos = np.stack([image_from_file(str(path), spec) for path in paths])
        network = batch_function(parse_graph(made_graph(variant), name), "input:0", "logits:0")
        for label, images in zip(INPUTS, (photos, formula_images(size)), strict=True):
            np.save(work_dir / f"{name}_{label}.npy", images)
            np.save(work_dir / f"{name}_{label}_logits.npy", np.asarray(network(images)))
    (work_dir / "checkpoints.json").write_text(json.dumps(checkpoints), encoding="utf-8")


def reference(work_dir: Path, json_path: str | None) -> None:
    """Print the largest difference between the logits that `ours` wrote and PyTorch's."""
    import torch

    written = {}
    for name, checkpoint in json.loads((work_dir / "checkpoints.json").read_text(encoding="utf-8")).items():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        for label in INPUTS:
            images = np.load(work_dir / f"{name}_{label}.npy")
            with torch.no_grad():
                expected = _logits(state, torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
            found = np.load(work_dir / f"{name}_{label}_logits.npy")
            same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
            print(
                f"{name}: {len(images)} {label}: largest difference of a logit {np.abs(found - expected).max():.1e}, "
                f"largest logit {np.abs(expected).max():.1f}, same class {same} of {len(images)} (PyTorch {torch.__version__})"
            )
        rows = [[round(float(value), 6) for value in row] for row in expected[:, ::EVERY]]
        written[name] = {"classes": expected.argmax(axis=1).tolist(), f"every_{EVERY}th_logit": rows}
    if json_path:
        Path(json_path).write_text(
            re.sub(r"\], \[|\}, ", lambda match: f"{match[0]}\n", json.dumps(written)) + "\n", encoding="utf-8"
        )


def _logits(state: dict[str, Any], values: Any) -> Any:
    """Return the logits of images, [N, 3, H, W]."""
    from torch.nn import functional

    values = _convolve(state, "_conv_stem", "_bn0", values, stride=2).clamp(0, 6)
    stage, number, outputs = -1, 0, 0
    while f"_blocks.{number}._project_conv.weight" in state:
        block = f"_blocks.{number}"
        filters = state[f"{block}._project_conv.weight"].shape[0]
        starts, outputs = filters != outputs, filters
        stage += starts
        stride = STAGE_STRIDES[stage] if starts else 1
        start = values
        if f"{block}._expand_conv.weight" in state:
            values = _convolve(state, f"{block}._expand_conv", f"{block}._bn0", values).clamp(0, 6)
        values = _convolve(state, f"{block}._depthwise_conv", f"{block}._bn1", values, stride).clamp(0, 6)
        values = _convolve(state, f"{block}._project_conv", f"{block}._bn2", values)
        if values.shape == start.shape:
            values = values + start
        number += 1
    values = _convolve(state, "_conv_head", "_bn1", values).clamp(0, 6).mean(dim=(2, 3))
    return functional.linear(values, state["_fc.weight"], state["_fc.bias"])


def _convolve(state: dict[str, Any], name: str, norm: str, values: Any, stride: int = 1) -> Any:
    """Return a convolution with TensorFlow's `SAME` padding, and the BatchNorm after it."""
    from torch.nn import functional

    weights = state[f"{name}.weight"]
    padding = []
    for size, kernel in ((values.shape[3], weights.shape[3]), (values.shape[2], weights.shape[2])):
        missing = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        padding += [missing // 2, missing - missing // 2]
    groups = values.shape[1] // weights.shape[1]
    values = functional.conv2d(functional.pad(values, padding), weights, stride=stride, groups=groups)
    mean, variance, gamma, beta = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(values, mean, variance, gamma, beta, training=False, eps=EPSILON)


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("ours", help="Write inputs and logits.")
    first.add_argument("--image_dir", required=True, help="Folder with photos.")
    second = commands.add_parser("reference", help="Compare the logits with PyTorch's.")
    second.add_argument("--json", help="File for PyTorch's logits of the three images.")
    for command in (first, second):
        command.add_argument("--work_dir", required=True, type=Path, help="Folder for inputs and logits.")
    args = parser.parse_args()
    if args.command == "ours":
        ours(args.image_dir, args.work_dir)
    else:
        reference(args.work_dir, args.json)


if __name__ == "__main__":
    main()
