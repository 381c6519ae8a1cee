"""One tile as it is asked for: its seed and index, what it is observed under, or its place on a walk between seeds."""

from dataclasses import dataclass
from typing import Final, Literal, TypeGuard

from skygen.sky.conditions import FieldConditions

SURVEY: Final = "survey"
Noise = Literal["survey", "none"] | float
Seeing = Literal["survey"] | float
MOST_NOISE_NMGY = 10.0  # of a level: three hundred times the survey's
SEEING_ARCSEC = (0.6, 3.0)  # least and most: the pixels are too coarse for less, the PSF's image too small for more
MAX_SEED = 2**63 - 1
MAX_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Tile:
    """Tile `index` of `seed`. Raises `ValueError` where `noise` or `seeing` is out of range.

    Of a recipe that paints scenes it is observed under the conditions of one of the training fields, drawn by the seed,
    or under its own `field`. `noise` is the survey's, none at all, or a level in nmgy for r, the other bands in
    proportion: as a longer or shorter exposure would have it, sources included. `seeing` is the survey's, or the FWHM
    in arcsec of the PSF in every band. The scene is the same whatever they are. `towards` puts it on the walk to the
    same tile of another seed: that seed, and the share of the way; field and noise stay those of `seed`.
    """

    seed: int
    index: int = 0
    noise: Noise = SURVEY
    seeing: Seeing = SURVEY
    field: FieldConditions | None = None
    towards: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        check_noise(self.noise)
        check_seeing(self.seeing)


def row(seed: int, n: int, first: int = 0, noise: Noise = SURVEY, seeing: Seeing = SURVEY) -> list[Tile]:
    """Tiles `first` to `first + n - 1` of `seed`."""
    return [Tile(seed, index, noise, seeing) for index in range(first, first + n)]


def walk(start: Tile, to: int, steps: int, part: slice = slice(None)) -> list[Tile]:
    """`steps` tiles in equal steps from `start` to the same tile of the seed `to`, both included; or a part of them.

    Raises `ValueError` for fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"a walk of {steps} steps; it has 2 at least, its two ends")
    places = ((to, step / (steps - 1)) for step in range(steps)[part])
    return [Tile(start.seed, start.index, start.noise, start.seeing, start.field, place) for place in places]


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


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
