"""Folders of runs: everything that one run writes in one place, and the comparison of runs."""
