"""Options of a network's input."""

from dataclasses import dataclass
from typing import Any

from retrain.input_spec import CHANNEL_ORDERS, DECODE_SCALES, EXIF_ORIENTATIONS, LARGEST_INPUT_SIDE, RESIZES
from retrain.options.flags import Options, flag
from retrain.options.groups import ADVANCED

FROM_METADATA = "from the graph's metadata, else inferred"


def _input_number(help_text: str, **limits: Any) -> Any:
    return flag(help_text, None, shown_default=FROM_METADATA, **limits)


@dataclass(frozen=True, kw_only=True)
class NetworkInputOptions(Options, group=ADVANCED):
    """Options of a network's input. None uses the metadata of the graph, or else a value inferred from its nodes."""

    input_layer: str | None = flag("Name of the input in the graph.", None, shown_default=FROM_METADATA)
    input_height: int | None = _input_number("Height of the input, in pixels.", low=1, high=LARGEST_INPUT_SIDE)
    input_width: int | None = _input_number("Width of the input, in pixels.", low=1, high=LARGEST_INPUT_SIDE)
    input_mean: float | None = _input_number("Pixel mean: the input is (grey level - mean) / standard deviation.")
    input_std: float | None = _input_number("Pixel standard deviation, in grey levels.", low=0, low_open=True)
    resize: str | None = flag(
        "How a photo becomes an image of the input's size: squash resizes the whole photo, crop its centre.",
        None,
        choices=RESIZES,
        shown_default="from the graph's metadata, else the network's own",
    )
    decode_scale: str | None = flag(
        "How large photos are decoded: full decodes all pixels of a JPEG; auto, for photos of many megapixels, decodes it at "
        "1/2, 1/4 or 1/8 of its size where that still is at least twice the input's size, which makes other bottlenecks.",
        None,
        choices=DECODE_SCALES,
        shown_default="from the graph's metadata, else full",
    )
    exif_orientation: str | None = flag(
        "What is done with photos that a camera stored turned: apply turns them upright, as their EXIF orientation says; ignore "
        "takes their pixels as they are stored, as the original does.",
        None,
        choices=EXIF_ORIENTATIONS,
        shown_default="from the graph's metadata; else ignore to label, and to train inception_v3 and mobilenets; apply to train "
        "other networks",
    )
    channel_order: str | None = flag(
        "Order of the colours in the input: rgb; or bgr, for networks that were trained on images as OpenCV reads them.",
        None,
        choices=CHANNEL_ORDERS,
        shown_default="from the graph's metadata, else rgb",
    )
