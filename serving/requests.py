"""What a client may ask for; anything else is refused with a sentence that names the field."""

import re
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from skygen.bundle import Noise, Seeing, check_noise, check_seeing
from skygen.formats.encode import Format

MAX_TILES = 256
MAX_SEED = 2**63 - 1
CHAMPION = "champion"

Name = Annotated[str, Field(min_length=1, max_length=64)]


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


class GenerateRequest(BaseModel):
    """Tiles to generate: which set, how many, from which seed, in which format and by which recipe."""

    model_config = ConfigDict(title="GenerateRequest", frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    tiles: Name = Field(description="tile set, such as r64 or gri128")
    n: int = Field(default=1, ge=1, le=MAX_TILES, description="number of tiles; tile i is the same for every n")
    seed: Annotated[int, BeforeValidator(_decimal, json_schema_input_type=int | str)] = Field(
        default=0, ge=0, le=MAX_SEED, description="integer, or its decimal string; the same seed, the same tiles"
    )
    format: Format = Field(default="png", description="npy, fits and json hold nanomaggies, png is for looking")
    model: Name = Field(default=CHAMPION, description="a recipe, or champion")
    noise: Annotated[Noise, PlainValidator(_noise, json_schema_input_type=Noise)] = Field(
        default="survey", description="of scenes: the survey's, none, or a level in nmgy for r, others in proportion"
    )
    seeing: Annotated[Seeing, PlainValidator(_seeing, json_schema_input_type=Seeing)] = Field(
        default="survey", description="of scenes: the survey's, or the full width of the PSF at half maximum in arcsec"
    )


def refused(field: str, value: object, message: str) -> ValidationError:
    """The error with which a value is refused that only the loaded models can judge; it answers 400 as others do."""
    problem = PydanticCustomError("unknown_model", "{message}", {"message": message})
    return ValidationError.from_exception_data(
        GenerateRequest.__name__, [InitErrorDetails(type=problem, loc=(field,), input=value)]
    )
