"""Where tiles come from, as every format that has room for it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.formats.wcs import Place


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
    """Of each tile and band [N, bands], where the recipe has a noise model, as the next."""
    sky_level_nmgy: NDArray[np.float32] | None = None
    first: int = 0
    """The place of the first tile among the tiles of the seed."""
    softening_nmgy: float | None = None
    limit_nmgy: float | None = None
    """Of the stretch under which the generator paints; beyond the limit there is no flux."""
    towards: int | None = None
    """The other seed of a walk, and"""
    shares: Sequence[float] | None = None
    """the share of the way to it of each tile [N]; all of them are tile `first` of their seeds."""
    density: tuple[float, float] | None = None
    """How many times the field's own stars and galaxies, for a process."""
    places: Sequence[Place] | None = None
    """Where each tile [N] lies, for a process: on the plane of (seed, index), or all of them on that of the seed."""

    @property
    def is_of_seed_alone(self) -> bool:
        """Whether these are rectangles of the seed's own plane, and no tiles."""
        return any(place.plane == self.seed for place in self.places or ())

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `ValueError` where `shape` is not `[N, bands, H, W]`, or bands, shares or places do not fit to it."""
        if len(shape) != 4 or shape[1] != len(self.bands):
            wanted = f"[N, {len(self.bands)}, H, W] for the bands {','.join(self.bands)}"
            raise ValueError(f"tiles have shape {list(shape)}; wanted {wanted}")
        if self.towards is not None and len(self.shares or ()) != shape[0]:
            raise ValueError(f"a walk towards seed {self.towards} of {shape[0]} tiles has shares {self.shares}")
        if self.places is not None:
            planes = [self.seed if self.is_of_seed_alone else (self.seed, self.index(at)) for at in range(shape[0])]
            fitting = [(plane, shape[3], shape[2]) for plane in planes]
            if [(place.plane, place.width, place.height) for place in self.places] != fitting:
                raise ValueError(
                    f"tiles of shape {list(shape)} have the places {list(self.places)}; wanted (plane, width, height) "
                    f"as {fitting}"
                )

    def index(self, place: int) -> int:
        """The place among the tiles of the seed of the tile at `place` of these: the same all along a walk."""
        return self.first + (place if self.towards is None else 0)


@dataclass(frozen=True)
class Truth:
    """What there is in one rectangle: a structured array [n], one row an object, and the light of what has none."""

    rows: NDArray[Any]
    left_out_nmgy: Sequence[float]
    """The light inside, in each band, of what has no row: objects below `min_snr`, or too faint for any pixel."""
    min_snr: float = 0.0
