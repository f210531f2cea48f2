"""Groups of flags, in the order in which `--help` and docs/flags.md show them."""

INPUT = "input"
NETWORK = "network"
HEAD = "head"
AUGMENTATION = "augmentation"
FINE_TUNING = "fine-tuning"
SWEEP = "sweep"
OUTPUT = "output"
ADVANCED = "advanced"

# What each group is about. Plain ASCII: every terminal prints it.
GROUPS = {
    INPUT: "the images",
    NETWORK: "the pretrained network, or the trained graph",
    HEAD: "the layers that are trained",
    AUGMENTATION: "random distortions of training images",
    FINE_TUNING: "training of the network's own weights",
    SWEEP: "the trainings that are compared",
    OUTPUT: "files, the log and reports",
    ADVANCED: "rarely needed",
}


def title(group: str) -> str:
    """Return the heading of a group: its name and what it is about."""
    return f"{group} ({GROUPS[group]})" if group in GROUPS else group
