"""Comparison of every output of two checkouts of this project: `python -m benchmarks.same_outputs OLD NEW`."""
