"""The sky noise of an image."""

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826  # of a normal distribution


def sky_noise(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """The robust standard deviation of the background: 1.4826 times the median absolute deviation.

    `images` is [..., H, W]; the result is [...], in the unit of `images`. Sources that cover a small part of an image
    hardly move it; an image of one constant has none.
    """
    pixels = images.reshape(*images.shape[:-2], -1).astype(np.float64)
    middle = np.median(pixels, axis=-1, keepdims=True)
    return np.asarray(MAD_TO_SIGMA * np.median(np.abs(pixels - middle), axis=-1))
