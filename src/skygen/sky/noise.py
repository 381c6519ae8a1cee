"""Noise and sky level of an image: as they are measured away from sources, and the noise expected on these.

The survey's pixels hold whole counts, of which the noise is four to eight: a median absolute deviation of them moves in
steps of 10 %, so what is measured here are standard deviations and means of what is near the middle.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # as in skygen.sky.stretch
    import torch

ArrayT = TypeVar("ArrayT", NDArray[np.floating], "torch.Tensor")

MAD_TO_SIGMA = 1.4826  # of a normal distribution
_CLIP = 3.0  # standard deviations
_INSIDE = 0.98658  # the standard deviation of a normal distribution cut at 3, over that of the whole
_ROUNDS = 4
_BLOCK_PX = 64


def sky_noise(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """The standard deviation of the background: of the pixels within 3 of it around their mean, corrected for the cut.

    `images` is [..., H, W]; the result is [...], in the unit of `images`. Sources that cover a small part of an image
    hardly move it; an image of one constant has none.
    """
    return _clipped(images.reshape(*images.shape[:-2], -1))[1]


def pixel_noise(image: NDArray[np.floating]) -> float:
    """What differs from one pixel of `image` [H, W] to the next: white noise, without the light of sources and haloes.

    The median over blocks of 64 px, or of the whole of a smaller side, of the clipped standard deviation of neighbours'
    differences in a row, over √2: as much lower as neighbours are correlated, by half of their correlation.
    """
    differences = np.diff(_blocks(image)[..., ::2, :], axis=-1)  # every other row tells enough
    return float(np.median(_clipped(differences.reshape(*differences.shape[:2], -1))[1])) / math.sqrt(2)


def sky_level(image: NDArray[np.floating]) -> float:
    """The level of `image` [H, W] away from its sources: what the subtraction of the sky left, and light of faint ones.

    The median over blocks of 64 px, or of the whole of a smaller side, of the mean within 3 standard deviations. A
    median of pixels would move in steps of a count.
    """
    blocks = _blocks(image)
    return float(np.median(_clipped(blocks.reshape(*blocks.shape[:2], -1))[0]))


def pixel_variance(scenes: ArrayT, sky_noise_nmgy: ArrayT, nmgy_per_electron: ArrayT) -> ArrayT:
    """The variance of the noise of scenes [N, bands, H, W] in nmgy, each under its row of [N, bands]; in nmgy².

    It is sky noise² + max(scene, 0) · nmgy_per_electron: electrons are counted, and a count's variance is its mean.
    """
    sky, electron = sky_noise_nmgy[..., None, None], nmgy_per_electron[..., None, None]
    variance: ArrayT = sky**2 + scenes.clip(min=0) * electron
    return variance


def _blocks(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """The squares [rows, columns, side, side] into which an image [H, W] can be cut."""
    side = min(_BLOCK_PX, *image.shape)
    rows, columns = (length // side for length in image.shape)
    return image[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)


def _clipped(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Clipped mean and standard deviation over the last axis, begun from the median and absolute deviations."""
    deviation = values - np.median(values, axis=-1, keepdims=True)
    spread = MAD_TO_SIGMA * np.median(np.abs(deviation), axis=-1, keepdims=True)
    for _ in range(_ROUNDS):
        inside = (np.abs(deviation) <= _CLIP * spread).astype(values.dtype)
        count = np.maximum(inside.sum(-1, keepdims=True), 1)  # none where the squares of tiny values are 0
        deviation = deviation - np.vecdot(deviation, inside)[..., None] / count
        spread = np.sqrt(np.vecdot(deviation**2, inside)[..., None] / count) / _INSIDE
    middle = values[..., 0] - deviation[..., 0]
    return np.asarray(middle, dtype=np.float64), np.asarray(spread[..., 0], dtype=np.float64)
