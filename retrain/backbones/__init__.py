"""Pretrained networks: their names, their files, and how they are loaded."""
