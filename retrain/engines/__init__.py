"""Engines that run a network: LiteRT, on a converted copy, or TensorFlow."""
