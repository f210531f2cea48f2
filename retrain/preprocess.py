"""Encoded image → float32 [H, W, 3], as the network wants it. The one decoder of the project: label_image uses it too."""

import io
import warnings

import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from retrain.errors import ImageError
from retrain.input_spec import InputSpec


def decode(contents: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG, GIF (its first frame) or BMP, a string scalar → uint8 [height, width, 3]. Runs eagerly and in tf.data.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are none of these formats, or are cut off.
    """
    with tf.control_dependencies([tf.debugging.Assert(~_has_bmp_palette(contents), ["a BMP with a palette"])]):
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def _has_bmp_palette(contents: tf.Tensor) -> tf.Tensor:
    """Whether it is a BMP of 8 bits a pixel: TensorFlow takes the places in its palette for grey levels, and says nothing."""
    head = tf.strings.substr(contents, 0, 30) + bytes(30)  # Filled up, since a place beyond the end would be an error.
    return (tf.strings.substr(head, 0, 2) == b"BM") & (tf.strings.substr(head, 28, 2) == b"\x08\x00")


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
    """The slow way, for what TensorFlow cannot decode: CMYK JPEG, WebP, TIFF, … → uint8 [height, width, 3].

    Raises:
        ImageError: Pillow cannot decode it either; the message is the reason.
    """
    if not contents:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(contents)) as image:
                return np.asarray(image.convert("RGB"))
    except PIL.UnidentifiedImageError as error:
        raise ImageError("it is no image in a known format") from error
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files: all mean the same here.
        raise ImageError(str(error)) from error


def image_from_file(path: str, spec: InputSpec) -> npt.NDArray[np.float32]:
    """One image, by TensorFlow or else by Pillow → float32 [spec.height, spec.width, 3].

    Raises:
        ImageError: the file cannot be read or decoded; the message is the reason.
    """
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    try:
        return image_from_bytes(tf.constant(contents), spec).numpy()
    except tf.errors.OpError:
        pixels = decode_with_pillow(contents)
    return normalise(resize(tf.constant(pixels), spec.height, spec.width), spec.mean, spec.std).numpy()
