"""Answers the questions of the course that the original comes from, and writes docs/lab.md; about half an hour on two cores.

    python -m benchmarks.lab --image_dir ../shared/flower_photos --model_dir models

`models` holds mobilenet_v1_0.25_128_frozen.tgz and inception-2015-12-05.tgz, or the stand-in of real size that
`python -m benchmarks.inception_stand_in models` writes. Digits are drawn into the folder `digits`.
"""

import os
import tempfile

from benchmarks.common import ROOT, parser_with
from benchmarks.pages import Commands, write_page

PAGE = ROOT / "docs" / "lab.md"
INTRODUCTION = """# The lab

The questions of the course that this tool comes from, asked of the 600 flower photos (5 classes of 120; 476 to train on, 64
validation and 60 test photos, so that one photo is 1.7%). Made by `python -m benchmarks.lab`: each table is the output of the
command above it. In tables of accuracies, brackets hold the least and the greatest over the seeds.

Other questions have pages of their own: [fine-tuning.md](fine-tuning.md), [exports.md](exports.md) (TensorRT, TFLite, ONNX), and
[networks.md](networks.md) (Hub modules, graphs of your own).
"""
MOBILENET, BUNDLED, INCEPTION = "mobilenet_0.25_128", "tiny_resnet_128", "inception_v3"
REMARKS = {
    "MobileNet or another network": """\
The bundled network has seen other photos in its training than MobileNet 0.25, the smallest of its family. Inception v3 is not
compared here: its archive is not at hand, and the stand-in used for timings has random weights.""",
    "Learning rates from 0.005 to 1.0": """\
With 4,000 steps and few photos the rate hardly matters for where training ends; it does for how soon. The second table is
after 100 steps.""",
    "Hidden layers, dropout, L2": "On bottlenecks; a row with no hidden layer, no dropout and no L2 is the original's head.",
    "Optimizers": "L-BFGS takes all training photos in each of its steps, and ends when nothing can be gained.",
    "Early stopping": "It wants a validation set that says something: all of it, at each evaluation.",
    "The dense network on digits": """\
784 → 128 → dropout → 10, 101,770 numbers: a network whose bottleneck is the picture itself. The digits are scikit-learn's
1,797, of 8 × 8 grey levels, enlarged.""",
    "Times of MobileNet and of Inception": """\
`--timing_report` writes the times of a run; `scripts.compare_timings` sets two of them beside each other, of two networks
or of two machines. For processor against GPU, run one of the commands with `--device=cpu` and with `--device=gpu`, each with an
empty `--bottleneck_dir`; no GPU was at hand when this page was made. Inception is the stand-in of real size.""",
}


def parts(image_dir: str, model_dir: str, work: str) -> dict[str, Commands]:
    """What follows `python -m` in each part."""
    data = [f"--image_dir={image_dir}", f"--model_dir={model_dir}"]
    sweep = ["scripts.sweep", *data]
    mobilenet, seeds = f"--architecture={MOBILENET}", "--random_seed=1,2,3"
    adam = ["--optimizer=adam", "--learning_rate=0.001", "--how_many_training_steps=1000"]
    dense = ["--architecture=pixels_28", "--hidden_units=128", *adam]
    timed = ["--how_many_training_steps=100"]

    def training(name: str) -> list[str]:
        places = [f"--bottleneck_dir={work}/{name}", f"--timing_report={work}/{name}.json"]
        return ["retrain", *data, f"--architecture={name}", *timed, *places]

    rates = "--learning_rate=0.005,0.01,0.1,1.0"
    return {
        "MobileNet or another network": [[*sweep, f"--architecture={MOBILENET},{BUNDLED}", "--random_seed=1,2,3,4,5"]],
        "Learning rates from 0.005 to 1.0": [
            [*sweep, mobilenet, rates, seeds],
            [*sweep, mobilenet, rates, seeds, "--how_many_training_steps=100"],
        ],
        "Hidden layers, dropout, L2": [
            [*sweep, mobilenet, seeds, "--dropout=0,0.2,0.5", "--l2=0,0.001,0.01"],
            [*sweep, mobilenet, seeds, "--hidden_units=;64;128,64", "--optimizer=adam", "--learning_rate=0.001"],
        ],
        "Optimizers": [[*sweep, mobilenet, seeds, "--optimizer=gradient_descent,momentum,adam,lbfgs", "--l2=0.001"]],
        "Early stopping": [[*sweep, mobilenet, seeds, "--early_stopping=0,20", "--validation_batch_size=-1"]],
        "The dense network on digits": [
            ["scripts.make_digits", "digits"],
            ["scripts.sweep", "--image_dir=digits", *dense, seeds, "--dropout=0,0.05,0.2,0.5", "--l2=0,0.0001,0.001"],
        ],
        "Times of MobileNet and of Inception": [
            training(INCEPTION),
            training(MOBILENET),
            ["scripts.compare_timings", f"{work}/{INCEPTION}.json", f"{work}/{MOBILENET}.json"],
        ],
        "One sweep or twelve commands": [
            ["benchmarks.sweep", "--image_dir", image_dir, "--model_dir", model_dir, "--architecture", MOBILENET]
        ],
    }


def main() -> None:
    """Writes the page."""
    parser = parser_with("image_dir", "model_dir")
    parser.add_argument("--only", help="Ask only the question of this title, and keep the others as they stand.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        os.symlink(folder, work := ROOT / "lab")
        try:
            write_page(PAGE, INTRODUCTION, parts(args.image_dir, args.model_dir, work.name), REMARKS, args.only)
        finally:
            os.unlink(work)


if __name__ == "__main__":
    main()
