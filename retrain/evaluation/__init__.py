"""Numbers and pictures about a classifier."""
