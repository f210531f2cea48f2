"""EfficientNet-Lite 0, 1 and 2: their published checkpoints, read without PyTorch, as frozen graphs."""
