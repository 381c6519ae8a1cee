"""A simulated survey: what is in the sky, how the telescope takes it, what the camera makes of it."""
