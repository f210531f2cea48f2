"""The records of the EfficientNet-Lite networks."""

from retrain.backbones.architecture import Architecture, Provenance
from retrain.backbones.efficientnet_lite.variants import BOTTLENECK_SIZE, PACKAGE_VERSION, PIXEL_MEAN, PIXEL_STD, Variant
from retrain.input_spec import APPLY, CROP, InputSpec

# Parameters in millions, and top-1 accuracy in percent.
PUBLISHED = {"efficientnet_lite0": (4.7, 75.1), "efficientnet_lite1": (5.4, 76.7), "efficientnet_lite2": (6.1, 77.6)}
PUBLISHED_IN = "github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md, 2020"
# The bottlenecks' mean norm is 16; that of a MobileNet's, which a rate of 0.01 suits, is 100. A step of gradient descent changes
# the logits in proportion to the square of the norm: (100 / 16)² = 39. benchmarks/cross_validation.py compares learning rates.
LEARNING_RATE_SCALE = 39.0


def record(variant: Variant) -> Architecture:
    """Return the record of a variant."""
    parameters, top_1 = PUBLISHED[variant.name]
    return Architecture(
        name=variant.name,
        input_tensor="input:0",
        bottleneck_tensor="bottleneck:0",
        batch_tensor="bottleneck:0",
        bottleneck_size=BOTTLENECK_SIZE,
        input_spec=InputSpec(variant.input_size, variant.input_size, PIXEL_MEAN, PIXEL_STD, CROP, exif_orientation=APPLY),
        graph_file=variant.graph_file,
        digest=variant.checkpoint_digest,
        class_tensor="probabilities:0",
        learning_rate_scale=LEARNING_RATE_SCALE,
        provenance=Provenance(
            source=f"package {variant.distribution} {PACKAGE_VERSION}" + (f" (extra {variant.extra})" if variant.extra else ""),
            licence="Apache 2.0",
            parameters=parameters,
            top_1=top_1,
            accuracy_source=PUBLISHED_IN,
        ),
    )
