"""TensorFlow Hub modules."""
