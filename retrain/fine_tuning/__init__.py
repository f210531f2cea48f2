"""Training of the network's own weights."""
