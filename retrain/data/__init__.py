"""Images: which ones, which set, how they become pixels."""
