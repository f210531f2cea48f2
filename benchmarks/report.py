"""Runs all benchmarks and writes docs/performance.md; about half an hour on two cores.

    python -m benchmarks.report --image_dir flower_photos --model_dir models

`models` holds mobilenet_v1_0.25_128_frozen.tgz and inception-2015-12-05.tgz, or the stand-in of real size that
`python -m benchmarks.inception_stand_in models` writes.
"""

from benchmarks.common import ROOT, parser_with
from benchmarks.pages import write_page

PAGE = ROOT / "docs" / "performance.md"
INTRODUCTION = """# Performance

Made by `python -m benchmarks.report`: each table is the output of the command above it. Times are only comparable within a table,
whose rows were measured in turn on one machine. "The original's way" is [benchmarks/original.py](../benchmarks/original.py),
written plainly after what the original does, and run with the same TensorFlow: one photo per session call, a text file per photo,
and a training step that reads its hundred text files again and writes all summaries. Its phases leave out loading TensorFlow, as
this project's do; "whole command" is the wall time of the process.

"bound" is what decoding and the network, which share the same cores, allow together: 1 / (1 / decoding + 1 / network).
"""
MOBILENET, INCEPTION = "mobilenet_0.25_128", "inception_v3"
PARTS = {
    "MobileNet, phase by phase": ["phases", "--architecture", MOBILENET, "--distorted_steps=0", "--runs=2"],
    "MobileNet, 3,000 photos": ["phases", "--architecture", MOBILENET, "--steps=100", "--distorted_steps=0", "--repeat=5"],
    "MobileNet, with distortions": ["phases", "--architecture", MOBILENET, "--steps=0", "--distorted_steps=50"],
    "MobileNet, against the bound": ["bounds", "--architecture", MOBILENET],
    "MobileNet, the first second": ["first_second", "--architecture", MOBILENET],
    "Inception v3, phase by phase": ["phases", "--architecture", INCEPTION, "--steps=100", "--distorted_steps=0", "--runs=2"],
    "Inception v3, against the bound": ["bounds", "--architecture", INCEPTION, "--photos=150", "--runs=3"],
    "Growth": ["growth"],
    "Number formats": ["precision", "--architecture", MOBILENET],
}
REMARKS = {
    "MobileNet, 3,000 photos": "The photos five times over, as links: what a start costs weighs less the more there are.",
    "MobileNet, the first second": "Where the time of making 600 bottlenecks goes. About half a second passes before the first\n"
    "batch: TensorFlow sets itself up, traces the decoding, takes the network in and compiles its kernels at the first run.",
    "Inception v3, phase by phase": "The network is a stand-in of real size: the architecture, tensors and operations of the\n"
    "published graph, with random weights. Its accuracy means nothing, its speed does.",
    "Number formats": "bfloat16 is faster only on processors with AMX; elsewhere the command says so.",
}


def main() -> None:
    """Writes the page."""
    parser = parser_with("image_dir", "model_dir")
    parser.add_argument("--only", help="Measure only the part of this title, and keep the others as they stand.")
    args = parser.parse_args()
    data = ["--image_dir", args.image_dir, "--model_dir", args.model_dir]
    parts = {
        title: [[f"benchmarks.{program}", *([] if program == "growth" else data), *flags]]
        for title, (program, *flags) in PARTS.items()
    }
    write_page(PAGE, INTRODUCTION, parts, REMARKS, args.only)


if __name__ == "__main__":
    main()
