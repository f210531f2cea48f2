"""Small programs around the packages `retrain` and `label_image`."""
