"""Encoded image → float32 [H, W, 3], as the network wants it. The one decoder of the project: label_image uses it too."""

import io
import warnings

import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from retrain.errors import ImageError
from retrain.input_spec import InputSpec

# More pixels than that are refused, by Pillow too (twice its MAX_IMAGE_PIXELS): a file of a few kilobytes can claim gigabytes.
MAX_PIXELS = 178_956_970
# What Pillow may take a file for. Others of its formats are rare, and some start other programs, as EPS does.
PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM", "ICO", "TGA", "JPEG2000")


def decode(contents: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG or BMP, a string scalar → uint8 [height, width, 3]. Runs eagerly and in tf.data.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are none of these formats, are cut off, or are better left to Pillow.
    """
    with tf.control_dependencies([tf.debugging.Assert(_is_for_tensorflow(contents), ["left to Pillow"])]):
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def _is_for_tensorflow(contents: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow decodes it rightly, and in bounded memory: of a GIF it would hold all frames at once, however many.

    One branch for all, since each costs a few microseconds for each photo.
    """
    return tf.cond(
        _begins_with(contents, b"\xff\xd8\xff"),
        lambda: tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(contents), tf.int64)[:2]) <= MAX_PIXELS,
        lambda: _is_plain_png_or_bmp(contents),
    )


def _is_plain_png_or_bmp(contents: tf.Tensor) -> tf.Tensor:
    """TensorFlow takes the places in the palette of a BMP of 8 bits a pixel for grey levels, and says nothing."""
    head = tf.strings.substr(contents, 0, 30) + bytes(30)  # Filled up, since a place beyond the end would be an error.

    def fits(position: int, little_endian: bool) -> tf.Tensor:
        sides = tf.io.decode_raw(tf.strings.substr(head, position, 8), tf.int32, little_endian)
        return tf.abs(tf.reduce_prod(tf.cast(sides, tf.int64))) <= MAX_PIXELS  # The height of a BMP may be negative.

    png = _begins_with(head, b"\x89PNG") & fits(16, little_endian=False)
    bmp = _begins_with(head, b"BM") & fits(18, little_endian=True) & (tf.strings.substr(head, 28, 2) != b"\x08\x00")
    return png | bmp


def _begins_with(contents: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, 0, len(magic)) == magic


def resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """uint8 or float32 [h, w, 3] → float32 [height, width, 3] on TensorFlow 1's pixel grid, which all cached values rest on."""
    # The kernel reads uint8 and interpolates in float32; a cast of the whole photo before it would only cost time.
    resized = tf.raw_ops.ResizeBilinear(images=image[tf.newaxis], size=[height, width])
    return resized[0]


def normalise(image: tf.Tensor, mean: float, std: float) -> tf.Tensor:
    """Grey levels → `(level - mean) · (1 / std)`, float32 of the same shape. The multiplication is the original's."""
    return (image - np.float32(mean)) * np.float32(1.0 / std)


def image_from_bytes(contents: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """A string scalar with an image file's content → float32 [spec.height, spec.width, 3]. Runs eagerly and in tf.data."""
    return normalise(resize(decode(contents), spec.height, spec.width), spec.mean, spec.std)


def decode_with_pillow(contents: bytes) -> npt.NDArray[np.uint8]:
    """The slow way, for what is not left to TensorFlow: CMYK JPEG, WebP, GIF (the first frame), … → uint8 [height, width, 3].

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
    """uint8 [height, width, 3]. Pillow's own conversion cuts wider grey levels off at 255, which makes most of them white."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([grey, grey, grey], axis=-1)
    if image.mode in ("I", "F"):
        raise ImageError("the range of its grey levels is not known")
    return np.asarray(image.convert("RGB"))


def decode_by(pillow: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    """A bool scalar and a string scalar → uint8 [height, width, 3], by Pillow or else by TensorFlow. For tf.data.

    Raises:
        tf.errors.OpError: it cannot be decoded in this way.
    """

    def by_pillow() -> tf.Tensor:
        image = tf.numpy_function(decode_with_pillow, [contents], tf.uint8)
        return tf.ensure_shape(image, [None, None, 3])

    return tf.cond(pillow, by_pillow, lambda: decode(contents))


def image_from_file(path: str, spec: InputSpec) -> npt.NDArray[np.float32]:
    """One image, by TensorFlow or else by Pillow → float32 [spec.height, spec.width, 3].

    Raises:
        ImageError: the file cannot be read or decoded; the message is the reason.
    """
    contents = read_image(path)
    try:
        return image_from_bytes(tf.constant(contents), spec).numpy()
    except tf.errors.OpError:
        pixels = decode_with_pillow(contents)
    return normalise(resize(tf.constant(pixels), spec.height, spec.width), spec.mean, spec.std).numpy()


def read_image(path: str) -> bytes:
    """An image file's content. Raises ImageError where it cannot be read; the message is the reason."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
