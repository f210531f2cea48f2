"""The whole job in one command, on what the repository carries: `python3 -m scripts.demo`.

Makes an environment in `.venv`, installs the project there, draws flower pictures, trains on them with the bundled network,
labels a picture that training has not seen, and ends with the command that shows the training in TensorBoard. Needs Python and
a package registry, nothing else; so this file imports nothing but the standard library.
"""

import os
import sys

from scripts.environment import in_environment, run

PICTURES, NEW_PICTURES = "tf_files/flowers", "tf_files/new_flowers"
GRAPH, LABELS = "tf_files/retrained_graph.pb", "tf_files/retrained_labels.txt"
SUMMARIES = "tf_files/training_summaries/demo"


def main() -> int:
    """Runs the steps, each shown before it starts; returns the exit code of the first that fails, or 0."""
    python = in_environment(".")
    training = ["--image_dir", PICTURES, "--architecture", "tiny_resnet_128", "--bottleneck_dir", "tf_files/bottlenecks"]
    outputs = ["--output_graph", GRAPH, "--output_labels", LABELS, "--summaries_dir", SUMMARIES]
    run(python, "-m", "scripts.make_flowers", "--output_dir", PICTURES, "--images_per_class", "60")
    run(python, "-m", "scripts.make_flowers", "--output_dir", NEW_PICTURES, "--images_per_class", "1", "--random_seed", "7")
    run(python, "-m", "retrain", *training, *outputs, "--how_many_training_steps", "500", "--eval_step_interval", "100")
    run(python, "-m", "label_image", "--graph", GRAPH, "--image", f"{NEW_PICTURES}/sunflowers/sunflowers_0000.jpg")
    tensorboard = os.path.join(os.path.dirname(python), "tensorboard")
    print(f"\nTo see how it learnt:\n  {tensorboard} --logdir {SUMMARIES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
