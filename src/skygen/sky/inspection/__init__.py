"""What a field holds: sources, the PSF of each band, and what spoils parts of it."""
