"""What a client may ask for; anything else is refused with a sentence that names the field."""

import re
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from skygen.bundle.tile import (
    MAX_INDEX,
    MAX_SEED,
    MOST_PLACE_PX,
    SURVEY,
    Factors,
    Noise,
    Rectangle,
    Seeing,
    Tile,
    check_noise,
    check_seeing,
    row,
    walk,
)
from skygen.formats.encode import Format
from skygen.sky.conditions import MOST_DENSITY

MAX_TILES = 256
MAX_TRUTHS = 64  # tiles whose objects are told of in one answer: to measure them takes five times their drawing
MAX_SKY_PX = 2048  # of a rectangle's sides: as much as 256 tiles of 128 px
MAX_TRUTH_PX = 1024  # where its objects are told of
MAX_JSON_TILES = 16  # as JSON a tile is 10 times as large as it is
MAX_STEPS = 64
CHAMPION = "champion"


class RequestError(ValueError):
    """A request that only the loaded models can judge: the field at fault, and why; answers 400, or `status`."""

    def __init__(self, field: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


def _decimal(value: Any) -> Any:
    """A decimal string as its integer, since JavaScript numbers end at 2^53; anything else as it is."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch("[0-9]{1,19}", value):
        raise ValueError(f"must be an integer from 0 to {MAX_SEED}, or its decimal string")
    return int(value)


def _noise(value: Any) -> Noise:
    check_noise(value)
    return cast(Noise, value)


def _seeing(value: Any) -> Seeing:
    check_seeing(value)
    return cast(Seeing, value)


def _number(value: Any) -> Any:
    """What a query says as a number, where it is one."""
    try:
        return float(value)
    except ValueError:
        return value


NoiseChoice = Annotated[
    Noise,
    PlainValidator(_noise, json_schema_input_type=Noise),
    Field(description="of scenes: the survey's, none, or a level in nmgy for r, others in proportion"),
]
SeeingChoice = Annotated[
    Seeing,
    PlainValidator(_seeing, json_schema_input_type=Seeing),
    Field(description="of scenes: the survey's, or the full width of the PSF at half maximum in arcsec"),
]
Name = Annotated[str, Field(min_length=1, max_length=64)]
TileSet = Annotated[Name, Field(description="tile set, such as r64 or gri128")]
Model = Annotated[Name, Field(description="a recipe, or champion")]
Index = Annotated[int, Field(ge=0, le=MAX_INDEX)]
Seed = Annotated[
    int,
    BeforeValidator(
        _decimal,
        json_schema_input_type=Annotated[int, Field(ge=0, le=MAX_SEED)]
        | Annotated[str, Field(pattern="^[0-9]{1,19}$")],
    ),
    Field(ge=0, le=MAX_SEED, description="integer, or its decimal string; the same seed, the same tiles"),
]
FormatChoice = Annotated[
    Format | None, Field(description="npy, fits and json hold nanomaggies, png is for looking; null: as Accept says")
]

Factor = Annotated[float, Field(ge=0, le=MOST_DENSITY)]
Truths = Annotated[bool, Field(description="of a process: FITS with a table TRUTH of the objects in each image")]
FIRST = Field(default=0, ge=0, le=MAX_INDEX - MAX_TILES, description="index of the first tile")
MIN_SNR = Field(default=0, ge=0, description="least signal-to-noise ratio of an object that is told of, in some band")
CatalogueChoice = Literal["ecsv", "csv", "fits", "json"]


class _Strict(BaseModel):
    """Strict about types, closed to unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Density(_Strict):
    """How many times the field's own stars and galaxies there are."""

    stars: Factor = 1
    galaxies: Factor = 1

    def factors(self) -> Factors:
        """The same as a bundle takes it."""
        return Factors(self.stars, self.galaxies)


class _Seen(_Strict):
    """What is drawn of a set, by which recipe, and how it is observed."""

    tiles: TileSet
    seed: Seed = 0
    model: Model = CHAMPION
    noise: NoiseChoice = SURVEY
    seeing: SeeingChoice = SURVEY


class _OfProcess(_Seen):
    density: Annotated[Density, Field(description="of a process: times the field's own stars and galaxies")] = Density()


class GenerateRequest(_OfProcess):
    """Tiles to generate: which set, how many, from which seed, in which format and by which recipe."""

    n: int = Field(default=1, ge=1, le=MAX_TILES, description="number of tiles; tile i is the same for every n")
    first: int = FIRST
    format: FormatChoice = None
    truth: Truths = False

    def wanted(self) -> list[Tile]:
        """The tiles asked for."""
        return row(self.seed, self.n, self.first, self.noise, self.seeing, self.density.factors())


class CatalogueRequest(_OfProcess):
    """The objects of tiles of a process."""

    n: int = Field(default=1, ge=1, le=MAX_TRUTHS, description="number of tiles")
    first: int = FIRST
    min_snr: float = MIN_SNR
    format: CatalogueChoice = "ecsv"

    def wanted(self) -> list[Tile]:
        """The tiles asked for."""
        return row(self.seed, self.n, self.first, self.noise, self.seeing, self.density.factors())


class _Rectangle(_OfProcess):
    x: int = Field(default=0, ge=-MOST_PLACE_PX, le=MOST_PLACE_PX, description="column of the sky at the first pixel")
    y: int = Field(default=0, ge=-MOST_PLACE_PX, le=MOST_PLACE_PX, description="row of the sky at the first pixel")
    width: int = Field(default=256, ge=1, le=MAX_SKY_PX, description="columns")
    height: int = Field(default=256, ge=1, le=MAX_SKY_PX, description="rows")

    def wanted(self) -> Rectangle:
        """The rectangle asked for."""
        sides = (self.x, self.y, self.width, self.height)
        return Rectangle(self.seed, *sides, self.noise, self.seeing, self.density.factors())


class SkyRequest(_Rectangle):
    """A rectangle of the endless sky of a seed, by a process."""

    format: Annotated[Literal["png", "npy", "fits"] | None, Field(description="as of tiles")] = None
    truth: Truths = False


class SkyCatalogueRequest(_Rectangle):
    """The objects of a rectangle of a seed's sky."""

    width: int = Field(default=256, ge=1, le=MAX_TRUTH_PX, description="columns")
    height: int = Field(default=256, ge=1, le=MAX_TRUTH_PX, description="rows")
    min_snr: float = MIN_SNR
    format: CatalogueChoice = "ecsv"


class InterpolateRequest(_Seen):
    """A walk from one seed's tile to another's, in equal steps, both ends included."""

    to: Annotated[Seed, Field(description="seed at the end of the walk")]
    steps: int = Field(default=9, ge=2, le=MAX_STEPS, description="number of tiles, the two ends among them")
    index: Index = Field(default=0, description="which tile of both seeds")
    format: FormatChoice = None

    def wanted(self) -> list[Tile]:
        """The tiles of the walk."""
        return walk(Tile(self.seed, self.index, self.noise, self.seeing), self.to, self.steps)


class TileQuery(BaseModel):
    """What a URL may say of a tile behind its question mark."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    index: Index = Field(default=0, description="index of the tile")
    model: Model = CHAMPION
    noise: Annotated[NoiseChoice, BeforeValidator(_number)] = SURVEY
    seeing: Annotated[SeeingChoice, BeforeValidator(_number)] = SURVEY
    stars: Factor = Field(default=1, description="of a process: times the field's own stars")
    galaxies: Factor = Field(default=1, description="of a process: times the field's own galaxies")
    version: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="sha256 of a bundle: a promotion then changes nothing"
    )

    def tile(self, seed: int) -> Tile:
        """The tile of `seed` asked for."""
        return Tile(seed, self.index, self.noise, self.seeing, density=Factors(self.stars, self.galaxies))


class TileFileQuery(TileQuery):
    """The same of a tile's file."""

    truth: Truths = False
