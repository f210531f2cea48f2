"""Measurements: they print ratios, and assert nothing."""
