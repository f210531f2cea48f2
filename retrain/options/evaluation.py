"""Options of the final test."""

from dataclasses import dataclass

from retrain.options.flags import LARGEST_BATCH, Options, flag
from retrain.options.groups import OUTPUT


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(Options, group=OUTPUT):
    """Options of the final test."""

    test_batch_size: int = flag(
        "Number of images in the final test; -1 uses the whole set, each image once.", -1, low=1, high=LARGEST_BATCH, also=-1
    )
    print_misclassified_test_images: bool = flag("List the misclassified test images.", False)
