"""The survey's units: how wide a pixel is, and which magnitude a nanomaggy has."""

PIXEL_SCALE_ARCSEC = 0.396
ZERO_POINT_MAG = 22.5  # of 1 nmgy
