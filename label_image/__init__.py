"""Labels images with a trained graph: `python -m label_image --graph graph.pb --image photo.jpg`."""
