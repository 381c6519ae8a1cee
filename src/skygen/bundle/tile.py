"""What is asked of a bundle: a tile by seed and index, or a rectangle of a seed's sky; and how it is to be observed."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeGuard

from skygen.sky.conditions import MOST_DENSITY, Density, FieldConditions

SURVEY: Final = "survey"
Noise = Literal["survey", "none"] | float
Seeing = Literal["survey"] | float
MOST_NOISE_NMGY = 10.0  # of a level: three hundred times the survey's
SEEING_ARCSEC = (0.6, 3.0)  # least and most: the pixels are too coarse for less, the PSF's image too small for more
MAX_SEED = 2**63 - 1
MAX_INDEX = 2**31 - 1
MOST_SIDE_PX = 4096  # of a rectangle: in three bands it is 200 MB
SQUARE_PX = 256  # side of the part of a rectangle that one core draws at once
MOST_PLACE_PX = 10**9  # of a rectangle's first pixel from the origin, along each axis


class Factors(NamedTuple):
    """How many times as many stars and galaxies as the field has."""

    stars: float = 1.0
    galaxies: float = 1.0


OWN: Final = Factors()


@dataclass(frozen=True, slots=True)
class Tile:
    """Tile `index` of `seed`. Raises `ValueError` where `noise`, `seeing` or `density` is out of range.

    Of a process it is observed under the conditions of one of the training fields, drawn by the seed,
    or under its own `field`. `noise` is the survey's, none at all, or a level in nmgy for r, the other bands in
    proportion: as a longer or shorter exposure would have it, sources included. `seeing` is the survey's, or the FWHM
    in arcsec of the PSF in every band. The scene is the same whatever they are. `towards` puts it on the walk to the
    same tile of another seed: that seed, and the share of the way; field and noise stay those of `seed`.

    Of a process, `density` thins out or adds objects: with less than 1 some of the same sky's are left. The field's
    own is one of the training fields', drawn by the seed, or `field_density`.
    """

    seed: int
    index: int = 0
    noise: Noise = SURVEY
    seeing: Seeing = SURVEY
    field: FieldConditions | None = None
    towards: tuple[int, float] | None = None
    density: Factors = OWN
    field_density: Density | None = None

    def __post_init__(self) -> None:
        check_noise(self.noise)
        check_seeing(self.seeing)
        check_density(self.density)

    def with_noise(self) -> "Tile":
        """The same tile, with the survey's noise where it has none: what is bright is so beside noise."""
        return replace(self, noise=SURVEY) if self.noise == "none" else self


@dataclass(frozen=True, slots=True)
class Rectangle:
    """The rectangle of the sky of `seed` whose first pixel is (x, y); the sky is endless. Raises as `Tile`.

    The whole sky of a seed has the conditions of one training field, those of the seed's tile 0.
    """

    seed: int
    x: int
    y: int
    width: int
    height: int
    noise: Noise = SURVEY
    seeing: Seeing = SURVEY
    density: Factors = OWN

    def __post_init__(self) -> None:
        check_noise(self.noise)
        check_seeing(self.seeing)
        check_density(self.density)
        for name in ("x", "y"):
            if abs(getattr(self, name)) > MOST_PLACE_PX:
                limits = f"from -{MOST_PLACE_PX} to {MOST_PLACE_PX} px"
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {limits}")
        for name in ("width", "height"):
            if not 1 <= getattr(self, name) <= MOST_SIDE_PX:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 1 to {MOST_SIDE_PX} px")

    def observed(self) -> Tile:
        """A tile that is observed as this rectangle is."""
        return Tile(self.seed, 0, self.noise, self.seeing, density=self.density)

    def squares(self) -> "list[Rectangle]":
        """The same sky in parts of at most 256 px a side, row by row: each is work for one core."""
        return [
            replace(self, x=left, y=low, width=right - left, height=high - low)
            for low, high in pairwise(_edges(self.y, self.height))
            for left, right in pairwise(_edges(self.x, self.width))
        ]


def row(
    seed: int, n: int, first: int = 0, noise: Noise = SURVEY, seeing: Seeing = SURVEY, density: Factors = OWN
) -> list[Tile]:
    """Tiles `first` to `first + n - 1` of `seed`."""
    return [Tile(seed, index, noise, seeing, density=density) for index in range(first, first + n)]


def walk(start: Tile, to: int, steps: int, part: slice = slice(None)) -> list[Tile]:
    """`steps` tiles in equal steps from `start` to the same tile of the seed `to`, both included; or a part of them.

    Raises `ValueError` for fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"a walk of {steps} steps; it has 2 at least, its two ends")
    return [replace(start, towards=(to, step / (steps - 1))) for step in range(steps)[part]]


def check_noise(noise: Noise) -> None:
    """Raise `ValueError` where `noise` is neither survey, nor none, nor a level in range."""
    if noise not in (SURVEY, "none") and not (_is_number(noise) and 0 < noise <= MOST_NOISE_NMGY):
        limits = f"a level above 0 and at most {MOST_NOISE_NMGY} nmgy"
        raise ValueError(f"noise is {noise!r}; it must be {SURVEY!r}, 'none' or {limits}")


def check_seeing(seeing: Seeing) -> None:
    """Raise `ValueError` where `seeing` is neither survey nor a FWHM in range."""
    least, most = SEEING_ARCSEC
    if seeing != SURVEY and not (_is_number(seeing) and least <= seeing <= most):
        raise ValueError(f"seeing is {seeing!r}; it must be {SURVEY!r} or a FWHM from {least} to {most} arcsec")


def check_density(density: Factors) -> None:
    """Raise `ValueError` where a factor of `density` is out of range."""
    for name, factor in density._asdict().items():
        if not (_is_number(factor) and 0 <= factor <= MOST_DENSITY):
            raise ValueError(f"density of {name} is {factor!r}; it must be a factor from 0 to {MOST_DENSITY:g}")


def _edges(first: int, size: int) -> list[int]:
    """`first`, the multiples of 256 px beyond it, and where `size` px end."""
    return [first, *range(first - first % SQUARE_PX + SQUARE_PX, first + size, SQUARE_PX), first + size]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
