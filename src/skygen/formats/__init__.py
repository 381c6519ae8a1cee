"""Tiles as files: npy, FITS and JSON hold the flux, PNG is for looking."""
