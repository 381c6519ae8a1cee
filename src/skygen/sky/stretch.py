"""The asinh stretch between flux and the range in which networks work (after Lupton et al. 1999, AJ 118, 1406)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the stage tiles starts many processes that need no torch, which takes longer to import than a field
    import torch

ArrayT = TypeVar("ArrayT", NDArray[np.floating], "torch.Tensor")


@dataclass(frozen=True)
class Stretch:
    """asinh(flux / softening) / asinh(limit / softening), clipped to [-1, 1]; flux, softening and limit in nmgy.

    Linear where flux is well under the softening, logarithmic above it; 0 stays 0 and the limit becomes 1.
    """

    softening_nmgy: float
    limit_nmgy: float

    def stretch(self, flux_nmgy: ArrayT) -> ArrayT:
        """Flux as network values in [-1, 1], same shape; flux beyond the limit is clipped to it."""
        if not isinstance(flux_nmgy, np.ndarray):
            return (flux_nmgy / self.softening_nmgy).asinh().div(self._scale).clamp(-1, 1)
        values = np.arcsinh(flux_nmgy / self.softening_nmgy) / self._scale
        return cast(ArrayT, np.clip(values, -1, 1).astype(flux_nmgy.dtype, copy=False))

    def unstretch(self, values: ArrayT) -> ArrayT:
        """Network values as flux in nmgy, same shape: the exact inverse of `stretch` inside the limit."""
        if not isinstance(values, np.ndarray):
            return (values * self._scale).sinh() * self.softening_nmgy
        return cast(ArrayT, (np.sinh(values * self._scale) * self.softening_nmgy).astype(values.dtype, copy=False))

    @property
    def _scale(self) -> float:
        return math.asinh(self.limit_nmgy / self.softening_nmgy)
