"""The server of `label_image --serve`: a page that labels photos, and POST /classify for programs."""
