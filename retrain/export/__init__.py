"""The formats a trained classifier is written in, a file each."""
