"""Which amplifier read a pixel: the left half of a frame's columns has one, the right half another, noisier or not.

A readout is such a half of a field, named as "94-1-12/left".
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Half = Literal["left", "right"]
HALVES: tuple[Half, ...] = get_args(Half)


def readout(field: object, half: Half) -> str:
    """The name of one half of `field` (run-camcol-field)."""
    return f"{field}/{half}"


def field_of(readout: str) -> str:
    """The field (run-camcol-field) that `readout` is a half of."""
    return readout.partition("/")[0]


def in_right_half(x_px: NDArray[np.integer], columns: int) -> NDArray[np.bool_]:
    """Which of the columns `x_px` of an image of so many `columns` lie in its right half."""
    return np.asarray(x_px >= columns // 2)


def halves_of(image: NDArray[np.floating]) -> dict[Half, NDArray[np.floating]]:
    """The left and the right half of `image` [..., W], as views of it."""
    middle = image.shape[-1] // 2
    return {"left": image[..., :middle], "right": image[..., middle:]}
