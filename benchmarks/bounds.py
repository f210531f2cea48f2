"""Benchmark of bottlenecks and labelling against the highest rate that the machine allows.

    python -m benchmarks.bounds --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128

Measures in one process, several times in turn, the photos per second of decoding alone, of the network alone, and of both with
the cache written. Decoding and the network share the same cores, so together they can reach 1 / (1 / decoding + 1 / network).
"""

import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.common import machine, parser_with, spread
from retrain.data.image_lists import ImageLists, create_image_lists
from retrain.evaluation.tables import markdown_table
from retrain.options.images import ImageOptions
from retrain.process.tensorflow_loading import load_tensorflow


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--runs", type=int, default=5, help="Runs of each part.")
    parser.add_argument("--photos", type=int, default=600, help="Greatest number of photos.")
    args = parser.parse_args()
    load_tensorflow()
    lists = create_image_lists(ImageOptions(image_dir=args.image_dir))
    step = max(1, len(lists.images) // args.photos)
    lists = ImageLists(lists.labels, lists.folders, lists.images[::step])
    parts = _parts(lists, args.architecture, args.model_dir)
    rates: dict[str, list[float]] = {name: [] for name in parts}
    for part in parts.values():
        part()  # The first run of each part is slower. benchmarks.phases includes it; here it would distort the bound.
    for _ in range(args.runs):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            rates[name].append(len(lists.images) / (time.perf_counter() - start))
    decoding, network, making, labelling = rates.values()
    bound = [1 / (1 / a + 1 / b) for a, b in zip(decoding, network, strict=True)]
    rows = [[name, spread(values)] for name, values in rates.items()]
    rows.insert(2, ["bound of both together", spread(bound)])
    rows.append(["bottlenecks ÷ bound", spread([a / b for a, b in zip(making, bound, strict=True)], 2)])
    rows.append(["labelling ÷ bottlenecks", spread([a / b for a, b in zip(labelling, making, strict=True)], 2)])
    print(f"{args.architecture}, {len(lists.images)} photos, on {machine()}; median, minimum and maximum of {args.runs} runs.\n")
    print(markdown_table(["part", "photos per second"], rows))


def _parts(lists: ImageLists, architecture: str, model_dir: str) -> dict[str, Callable[[], None]]:
    from label_image.classify import classify
    from label_image.opening import graph_classifier
    from retrain.backbones.load import load_network
    from retrain.bottlenecks.cache import BottleneckCache
    from retrain.bottlenecks.extract import Extractor
    from retrain.data.loader import ImageLoader, suitable_batch_size
    from retrain.export.classifier import classifier_graph
    from retrain.head.classifier import TrainedClassifier
    from retrain.head.model import SoftmaxHead
    from retrain.options.network import NetworkOptions

    backbone = load_network(NetworkOptions(architecture=architecture, model_dir=model_dir))
    chosen, spec = backbone.architecture, backbone.architecture.input_spec
    paths = [image.path for image in lists.images]
    size = suitable_batch_size(spec)
    batch = np.random.default_rng(0).uniform(-1, 1, (size, spec.height, spec.width, 3)).astype(np.float32)
    head = SoftmaxHead(chosen.bottleneck_size, len(lists.labels), np.random.default_rng(0))
    classifier = TrainedClassifier(backbone, head, lists.labels, "final_result")
    graph = graph_classifier(classifier_graph(classifier), classifier.description)

    def decoding() -> None:
        for _ in ImageLoader(dict(enumerate(paths)), spec, size):
            pass

    def network() -> None:
        for start in range(0, len(paths), size):
            backbone.run(batch[: len(paths) - start])

    def making() -> None:
        with tempfile.TemporaryDirectory() as folder:
            cache = BottleneckCache(folder, chosen.name, chosen.bottleneck_size, backbone.fingerprint)
            Extractor(lists.images, cache, lambda: backbone.run, spec).bottlenecks(range(len(lists.images)))

    def labelling() -> None:
        classify(graph, paths, 5, {})

    return {
        "decoding alone": decoding,
        "network alone": network,
        "bottlenecks, with the cache written": making,
        "label_image": labelling,
    }


if __name__ == "__main__":
    main()
