"""Labelling of images with a trained classifier: `python -m label_image --graph graph.pb --image photo.jpg`."""
