"""Kernels that fine-tuning cannot change, since they are stored in 8 bits: those of the quantized MobileNets, for example."""

import re

from retrain.fine_tuning.variables import Kernel, TrainableNetwork


def fixed_kernels_text(network: TrainableNetwork, name: str, pattern: str | None) -> str | None:
    """Return which kernels of the network stay as they are, and what is trained, in two sentences; None if there are none.

    Args:
        network: the network, with at least one weight to train.
        name: its name.
        pattern: `fine_tune_layers`. Only kernels that it matches are mentioned: the others were not to be trained.
    """
    kernels = _matching(network, pattern)
    fixed = [kernel for kernel in kernels if kernel.is_8_bit]
    if not fixed:
        return None
    share = round(100 * sum(kernel.size for kernel in fixed) / sum(kernel.size for kernel in kernels))
    whose = f"{len(fixed)} of the {len(kernels)} of {name}" + (" that --fine_tune_layers matches" if pattern is not None else "")
    trained = {weight.name for weight in network.weights}
    n_kernels = sum(kernel.name in trained for kernel in kernels)
    counts = [(n_kernels, "kernel"), (len(trained) - n_kernels, "vector")]
    parts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    example = ", such as biases" if counts[1][0] else ""
    return (
        f"Fine-tuning does not change kernels that are stored in 8 bits: {whose}, with {share}% of their numbers. "
        f"It trains {' and '.join(parts)}{example}."
    )


def nothing_to_train_text(network: TrainableNetwork, pattern: str | None) -> str:
    """Return the part that 8-bit kernels have in it if nothing is left to train, in words; empty if they have none."""
    kernels = _matching(network, pattern)
    n_fixed = sum(kernel.is_8_bit for kernel in kernels)
    return f"{n_fixed} of {len(kernels)} kernels are stored in 8 bits, which cannot be trained" if n_fixed else ""


def _matching(network: TrainableNetwork, pattern: str | None) -> list[Kernel]:
    return [kernel for kernel in network.kernels if pattern is None or re.search(pattern, kernel.name)]
