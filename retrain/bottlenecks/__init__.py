"""The bottleneck cache, and filling it."""
