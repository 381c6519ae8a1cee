"""The frozen feature encoder: the network, its training, and what it learns to see."""
