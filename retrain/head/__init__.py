"""The trained layer."""
