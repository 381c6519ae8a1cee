"""Where tiles come from, as every format that has room for it says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Origin:
    """The tile set, the generator and the seed of some tiles, and what one needs to read them."""

    tiles: str
    recipe: str
    model_sha256: str
    seed: int
    noise: str | float
    seeing: str | float
    bands: Sequence[str]
    pixel_scale_arcsec: float
    sky_noise_nmgy: NDArray[np.float32] | None = None
    """Of each tile and band [N, bands], where the recipe has a noise model."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `ValueError` where `shape` is not `[N, bands, H, W]` with one plane a band."""
        if len(shape) != 4 or shape[1] != len(self.bands):
            wanted = f"[N, {len(self.bands)}, H, W] for the bands {','.join(self.bands)}"
            raise ValueError(f"tiles have shape {list(shape)}; wanted {wanted}")
