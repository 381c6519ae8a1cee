"""The HTTP service: a request with a seed in, tiles out."""
