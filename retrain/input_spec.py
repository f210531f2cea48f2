"""The input that a network takes."""

from dataclasses import dataclass

LARGEST_INPUT_SIDE = 1 << 13  # Pixels; a photo enlarged to a square of that size fills 800 MB.
SQUASH, CROP = "squash", "crop"
RESIZES = (SQUASH, CROP)
FULL, SCALED = "full", "auto"
DECODE_SCALES = (FULL, SCALED)
IGNORE, APPLY = "ignore", "apply"
EXIF_ORIENTATIONS = (IGNORE, APPLY)
RGB, BGR = "rgb", "bgr"
CHANNEL_ORDERS = (RGB, BGR)
# Share of the largest central rectangle that a crop keeps, in height and in width: what ImageNet's networks are evaluated on.
# As a fraction, so that the edges are computed in integers, and are the same pixels everywhere.
CROP_FRACTION = (7, 8)


@dataclass(frozen=True)
class InputSpec:
    """Input settings of a network.

    Attributes:
        height, width: of the images, in pixels.
        mean, std: pixel mean and pixel standard deviation; a value of the input is `(grey level - mean) / std`.
        resize: how a photo becomes an image of that size. `squash` resizes the whole photo, whatever its shape; `crop` cuts out
            the centre in the shape of the input, and resizes that.
        decode_scale: `full` decodes all pixels of a JPEG; `auto` decodes it at 1/2, 1/4 or 1/8 of its size where what is resized
            then still has at least twice the input's height and width.
        exif_orientation: `ignore` takes the pixels as they are stored; `apply` turns a photo upright first.
        channel_order: `rgb`, or `bgr` for networks that were trained on images as OpenCV reads them.
    """

    height: int
    width: int
    mean: float
    std: float
    resize: str = SQUASH
    decode_scale: str = FULL
    exif_orientation: str = IGNORE
    channel_order: str = RGB

    @property
    def fingerprint_text(self) -> str:
        """The text that is hashed into a network's fingerprint.

        It is part of the cache format: every index of every cache depends on it. So it is spelled out and never follows a rename.
        The orientation is no part of it: the bottleneck of a photo without one is the same either way.
        """
        resize = f", resize={self.resize!r}" if self.resize != SQUASH else ""  # Older caches are of squashed photos.
        scale = f", decode_scale={self.decode_scale!r}" if self.decode_scale != FULL else ""
        further = f"{resize}{scale}" + (f", channel_order={self.channel_order!r}" if self.channel_order != RGB else "")
        return f"InputSpec(height={self.height!r}, width={self.width!r}, mean={self.mean!r}, std={self.std!r}{further})"

    def __str__(self) -> str:
        how = self.resize if self.decode_scale == FULL else f"{self.resize}, decode scale {self.decode_scale}"
        how += "" if self.channel_order == RGB else f", {self.channel_order}"
        return f"{self.height} × {self.width} pixels ({how}), mean {self.mean:g}, standard deviation {self.std:g}"
