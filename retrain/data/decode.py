"""Decoding of an encoded image to float32 [H, W, 3], as the network takes it. The one decoder of the project."""

import io
import warnings

import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from retrain.errors import ImageError
from retrain.input_spec import CROP_FRACTION, SQUASH, InputSpec

# Images with more pixels are refused, by Pillow too (twice its MAX_IMAGE_PIXELS): a file of a few kilobytes can claim gigabytes.
MAX_PIXELS = 178_956_970
# Formats that Pillow may decode. Others of its formats are rare, and some start other programs, as EPS does.
PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM", "ICO", "TGA", "JPEG2000")


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decode JPEG or PNG, a string scalar → uint8 [height, width, 3]. Runs eagerly and in tf.data.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are neither format, are cut off, or are left to Pillow.
    """
    with tf.control_dependencies([tf.debugging.Assert(_is_for_tensorflow(contents), ["left to Pillow"])]):
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def _is_for_tensorflow(contents: tf.Tensor) -> tf.Tensor:
    """Return True for a JPEG or PNG with at most MAX_PIXELS pixels.

    TensorFlow would decode BMP and GIF too, but reads the palette indices of a BMP as grey levels, and holds all frames of a GIF
    in memory at once. One branch for both formats, since each costs a few microseconds for each photo.
    """
    return tf.cond(
        _begins_with(contents, b"\xff\xd8\xff"),
        lambda: tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(contents), tf.int64)[:2]) <= MAX_PIXELS,
        lambda: _is_small_png(contents),
    )


def _is_small_png(contents: tf.Tensor) -> tf.Tensor:
    head = tf.strings.substr(contents, 0, 24) + bytes(24)  # Padded, since a position beyond the end would be an error.
    sides = tf.io.decode_raw(tf.strings.substr(head, 16, 8), tf.int32, little_endian=False)
    return _begins_with(head, b"\x89PNG") & (tf.abs(tf.reduce_prod(tf.cast(sides, tf.int64))) <= MAX_PIXELS)


def _begins_with(contents: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, 0, len(magic)) == magic


def resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resize uint8 or float32 [h, w, 3] → float32 [height, width, 3] on TensorFlow 1's pixel grid, as all cached values were."""
    # The kernel reads uint8 and interpolates in float32; a cast of the whole photo before it would only cost time.
    resized = tf.raw_ops.ResizeBilinear(images=image[tf.newaxis], size=[height, width])
    return resized[0]


def shaped(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return the part of a photo, [h, w, 3], that is resized: all of it, or the centre in the shape of the input."""
    if spec.resize == SQUASH:
        return image
    size = tf.cast(tf.shape(image)[:2], tf.int64)
    height, width = size[0], size[1]
    # The largest rectangle of the input's shape.
    largest = tf.minimum(size, tf.stack([width * spec.height // spec.width, height * spec.width // spec.height]))
    share, of = CROP_FRACTION
    sides = tf.maximum(largest * share // of, 1)
    start = (size - sides) // 2
    return tf.slice(image, [start[0], start[1], 0], [sides[0], sides[1], 3])


def fit(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Make the network's input of a decoded photo: uint8 [h, w, 3] → float32 [H, W, 3]."""
    return normalise(resize(shaped(image, spec), spec.height, spec.width), spec.mean, spec.std)


def normalise(image: tf.Tensor, mean: float, std: float) -> tf.Tensor:
    """Return `(grey level - mean) · (1 / std)`, float32 of the same shape. The multiplication is the original's."""
    return (image - np.float32(mean)) * np.float32(1.0 / std)


def image_from_bytes(contents: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Decode a string scalar with an image file's content → float32 [H, W, 3]. Runs eagerly and in tf.data."""
    return fit(decode(contents), spec)


def decode_with_pillow(contents: bytes) -> npt.NDArray[np.uint8]:
    """Decode what TensorFlow does not: CMYK JPEG, BMP, WebP, the first frame of a GIF, … → uint8 [height, width, 3].

    Raises:
        ImageError: Pillow cannot decode it either; the message is the reason.
    """
    if not contents:
        raise ImageError("the file is empty")
    PIL.Image.init()  # Loads the formats.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # At half of what it refuses.
            with PIL.Image.open(io.BytesIO(contents), formats=[f for f in PILLOW_FORMATS if f in PIL.Image.OPEN]) as image:
                return _rgb(image)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"it has more than {MAX_PIXELS:,} pixels") from error
    except PIL.UnidentifiedImageError as error:
        raise ImageError("it is no image in a known format") from error
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files: all mean the same here.
        raise ImageError(str(error)) from error


def _rgb(image: PIL.Image.Image) -> npt.NDArray[np.uint8]:
    """Convert to uint8 [height, width, 3]. Pillow itself clips 16-bit grey levels at 255, which makes most of them white."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([grey, grey, grey], axis=-1)
    if image.mode in ("I", "F"):
        raise ImageError("the range of its grey levels is not known")
    return np.asarray(image.convert("RGB"))


def decode_by(pillow: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    """Decode by Pillow or else by TensorFlow: a bool scalar and a string scalar → uint8 [height, width, 3]. For tf.data.

    Raises:
        tf.errors.OpError: the image cannot be decoded in this way.
    """

    def by_pillow() -> tf.Tensor:
        image = tf.numpy_function(decode_with_pillow, [contents], tf.uint8)
        return tf.ensure_shape(image, [None, None, 3])

    return tf.cond(pillow, by_pillow, lambda: decode(contents))


def image_from_file(path: str, spec: InputSpec) -> npt.NDArray[np.float32]:
    """Decode one image, by TensorFlow or else by Pillow → float32 [H, W, 3].

    Raises:
        ImageError: the file cannot be read or decoded; the message is the reason.
    """
    contents = read_image(path)
    try:
        return image_from_bytes(tf.constant(contents), spec).numpy()
    except tf.errors.OpError:
        pixels = decode_with_pillow(contents)
    return fit(tf.constant(pixels), spec).numpy()


def read_image(path: str) -> bytes:
    """Return an image file's content. Raises ImageError if it cannot be read; the message is the reason."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
