"""TensorFlow Hub modules as networks."""
