"""What a client may ask for; anything else is refused with a sentence that names the field."""

import re
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from skygen.bundle.tile import MAX_INDEX, MAX_SEED, SURVEY, Noise, Seeing, Tile, check_noise, check_seeing, row, walk
from skygen.formats.encode import Format

MAX_TILES = 256
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


class _Body(BaseModel):
    """A request's body: strict about types, closed to unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    tiles: TileSet
    seed: Seed = 0
    model: Model = CHAMPION
    noise: NoiseChoice = SURVEY
    seeing: SeeingChoice = SURVEY
    format: FormatChoice = None


class GenerateRequest(_Body):
    """Tiles to generate: which set, how many, from which seed, in which format and by which recipe."""

    n: int = Field(default=1, ge=1, le=MAX_TILES, description="number of tiles; tile i is the same for every n")
    first: int = Field(default=0, ge=0, le=MAX_INDEX - MAX_TILES, description="index of the first tile")

    def wanted(self) -> list[Tile]:
        """The tiles asked for."""
        return row(self.seed, self.n, self.first, self.noise, self.seeing)


class InterpolateRequest(_Body):
    """A walk from one seed's tile to another's, in equal steps, both ends included."""

    to: Annotated[Seed, Field(description="seed at the end of the walk")]
    steps: int = Field(default=9, ge=2, le=MAX_STEPS, description="number of tiles, the two ends among them")
    index: Index = Field(default=0, description="which tile of both seeds")

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
    version: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="sha256 of a bundle: a promotion then changes nothing"
    )
