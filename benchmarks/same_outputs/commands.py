"""Commands and cases, and short ways to write them down."""

from dataclasses import dataclass

NETWORK = "tiny_resnet_128"
# Settings whose defaults depend on the version, the sets of images and the images of an evaluation: the same on both sides.
SETTLED = {"split_by": "content", "validation_batch_size": "100"}


@dataclass(frozen=True)
class Command:
    """A command of a case: `python -m ARGS…`; its output goes to `logs/NAME.*`. `by_old` runs it with OLD on both sides."""

    name: str
    args: tuple[str, ...]
    by_old: bool = False


@dataclass(frozen=True)
class Case:
    """Commands that run one after another in the same folder.

    Attributes:
        name: of the case, and of its folder.
        commands: what is run.
        inputs: files and folders of the inputs that are copied into the case's folder first.
    """

    name: str
    commands: tuple[Command, ...]
    inputs: tuple[str, ...] = ()


def run(name: str, *args: str) -> Command:
    """Return any command."""
    return Command(name, args)


def train(name: str, *flags: str, by_old: bool = False, module: str = "retrain") -> Command:
    """Return a seeded training whose outputs go to the folder `name`; `flags` replace the usual ones."""
    usual = {
        "image_dir": "photos",
        "architecture": NETWORK,
        "how_many_training_steps": "60",
        "random_seed": "7",
        **SETTLED,
        "bottleneck_dir": "bottlenecks",
        "model_dir": "models",
        "output_graph": f"{name}/graph.pb",
        "output_labels": f"{name}/graph.txt",
        "summaries_dir": f"{name}/summaries",
        "checkpoint_path": f"{name}/checkpoint/head",
        "intermediate_output_graphs_dir": f"{name}/intermediate",
    }
    given = {flag.lstrip("-").partition("=")[0] for flag in flags}
    if "tfhub_module" in given:
        given.add("architecture")
    kept = [f"--{flag}={value}" for flag, value in usual.items() if flag not in given]
    return Command(name, (module, *kept, *flags), by_old)


def label(name: str, graph: str, *flags: str) -> Command:
    """Return a labelling with a graph."""
    return Command(name, ("label_image", f"--graph={graph}", *flags))


def sweep(name: str, *flags: str) -> Command:
    """Return a sweep whose outputs go to the folder `name`."""
    usual = ("--image_dir=photos", "--bottleneck_dir=bottlenecks", "--model_dir=models", f"--sweep_dir={name}")
    settled = [f"--{flag}={value}" for flag, value in SETTLED.items()]
    return Command(name, ("scripts.sweep", *usual, *settled, *flags))
