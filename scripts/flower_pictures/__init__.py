"""Drawn flower pictures of five classes, for `scripts.make_flowers`."""
