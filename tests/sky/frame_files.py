"""A small frame's file as the survey writes it, to be spoilt, and what the reader says of it."""

import numpy as np
import pytest
from astropy.io import fits

from skygen.sky.frame import FrameError, read_frame
from skygen.sky.frame_file import keep_significant_bits

NAME = "frame-r-000094-1-0012.fits"
SHAPE = (301, 2048)  # a fifth of a frame, and of the time
FLUX = keep_significant_bits(np.random.default_rng(0).normal(0, 0.03, SHAPE).astype(np.float32))
FLUX[170, 300] = 5.0


def edited(path, edit):
    """`path`, after `edit` has changed its HDUs."""
    with fits.open(path, memmap=False) as hdus:
        edit(hdus)
        hdus.writeto(path, overwrite=True)
    return path


def put(flux, place, value):
    flux = flux.copy()
    flux.flat[place] = value
    return flux


def cause(path):
    with pytest.raises(FrameError) as caught:
        read_frame(path)
    name, _, rest = str(caught.value).partition(": ")
    assert name == path.name
    assert "; " in rest  # the remedy follows
    return rest
