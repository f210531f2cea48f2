"""Keras networks: those of `keras.applications` by name, and models in files and folders."""
