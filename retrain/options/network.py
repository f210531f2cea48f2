"""Options of the pretrained network."""

from dataclasses import dataclass

from retrain.options.engine import LITERT, EngineOptions
from retrain.options.flags import Options, cross_check, flag
from retrain.options.groups import ADVANCED, NETWORK
from retrain.options.network_input import FROM_METADATA, NetworkInputOptions
from retrain.process.precision import FLOAT32, PRECISIONS


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions(Options, group=NETWORK):
    """Options of the published networks' archives."""

    model_dir: str = flag(
        "Folder of the networks' archives, into which missing ones are downloaded.", "/tmp/imagenet", path="FOLDER"
    )
    model_url_base: str | None = flag(
        "Address of a mirror: the archive's file name is appended to it.", None, shown_default="each network's own"
    )


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(ArchiveOptions, NetworkInputOptions, EngineOptions, group=NETWORK):
    """Options of the pretrained network: its name or file, its layers, and its number format."""

    architecture: str | None = flag(
        "The network: inception_v3, mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized], tiny_resnet_128, "
        "efficientnet_lite<0|1|2>, keras_<network>, pixels_<side> (--list_architectures lists them all), or the path of a frozen "
        "graph, of a Keras file or of a SavedModel's folder.",
        None,
        shown_default="inception_v3, or efficientnet_lite0 if that is not available",
    )
    tfhub_module: str | None = flag(
        "The network as a TensorFlow Hub module: a folder, a .tar.gz archive or an address.", None, shown_default="none"
    )
    bottleneck_layer: str | None = flag(
        "Name of the layer in a local graph whose output is the bottleneck.", None, shown_default=FROM_METADATA, group=ADVANCED
    )
    precision: str = flag(
        "Number format of the network's computation: those other than float32 are less precise, and faster on some processors.",
        FLOAT32,
        choices=PRECISIONS,
        group=ADVANCED,
    )

    @cross_check("engine", "precision")
    def _litert_computes_in_float32(self) -> str | None:
        if self.engine != LITERT or self.precision == FLOAT32:
            return None
        return f"--engine {LITERT} computes in float32: --precision must be {FLOAT32}. Got {self.precision}."
