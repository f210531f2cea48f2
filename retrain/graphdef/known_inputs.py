"""What an input looks like, as far as its name and its placeholder tell."""

from tensorflow.core.framework.node_def_pb2 import NodeDef

JPEG_CONTENTS = "DecodeJpeg/contents"
# What graphs that say nothing are recognised by: the input's name → its mean and standard deviation, in grey levels.
KNOWN_INPUTS = {"Mul": (128.0, 128.0), "input": (127.5, 127.5), "Placeholder": (0.0, 255.0)}
INCEPTION_SIZE = 299  # `Mul` is no placeholder and states no size; only Inception v3 has it.


def stated_size(node: NodeDef) -> tuple[int | None, int | None]:
    """Height and width of the images that an input takes, in pixels; None where it does not say."""
    if node.name == "Mul":
        return INCEPTION_SIZE, INCEPTION_SIZE
    sizes = [size.size for size in node.attr["shape"].shape.dim] if "shape" in node.attr else []  # Asking would add it.
    if len(sizes) != 4:
        return None, None
    height, width = (size if size > 0 else None for size in sizes[1:3])
    return height, width
