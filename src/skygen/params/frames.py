"""The section frames of params.yaml: where frames come from, and which."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from skygen.params.section import Count, Positive, Section, Seed

RightAscension = Annotated[float, Field(ge=0, lt=360)]
Declination = Annotated[float, Field(ge=-90, le=90)]
FieldName = Annotated[str, Field(pattern=r"^[0-9]{1,6}-[1-6]-[0-9]{1,4}$")]  # run-camcol-field, quoted: YAML sees dates


class Circle(Section):
    """A region of sky around a centre."""

    ra_deg: RightAscension
    dec_deg: Declination
    radius_deg: Annotated[float, Field(gt=0, le=90)]


class Box(Section):
    """A region of sky between two right ascensions, eastward from the first to the second, and two declinations."""

    ra_deg: Annotated[list[RightAscension], Field(min_length=2, max_length=2)]
    dec_deg: Annotated[list[Declination], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _declinations_ascend(self) -> Self:
        if self.dec_deg[0] >= self.dec_deg[1]:
            raise ValueError(f"dec_deg must ascend; got {self.dec_deg}")
        return self


def _kind_of_region(value: Any) -> str:
    bounds = value.get("ra_deg") if isinstance(value, dict) else getattr(value, "ra_deg", None)
    return "box" if isinstance(bounds, list) else "circle"


class SelectionParams(Section):
    """What a field must be like to be selected from the survey's list."""

    galactic_latitude_deg: Annotated[float, Field(ge=15, lt=90)]  # at least; nearer the plane clusters are not listed
    seeing_arcsec: Positive  # at most, of the PSF in r
    score: Annotated[float, Field(ge=0, le=1)]  # at least, of the survey's own score
    reserved: list[FieldName]  # fields kept for tests: none that overlaps them is selected


class SurveyParams(Section):
    """Which fields are downloaded, and from where."""

    frames_url: str
    field_list_url: str
    choose: Literal["fields", "region", "selection"]
    fields: Annotated[list[FieldName], Field(min_length=1)]
    region: Annotated[Annotated[Circle, Tag("circle")] | Annotated[Box, Tag("box")], Discriminator(_kind_of_region)]
    selection: SelectionParams
    connections: Annotated[int, Field(ge=1, le=16)]
    attempts: Count
    timeout_s: Positive


class FramesParams(Section):
    """Where frames come from."""

    source: Literal["simulated", "sdss", "local"]
    folder: Annotated[str, Field(min_length=1)]
    seed: Seed
    min_fields: Annotated[int, Field(ge=3)]
    sdss: SurveyParams
    scheduler: str | None

    @field_validator("folder")
    @classmethod
    def _folder_is_written_out(cls, folder: str) -> str:
        if folder.startswith("~"):
            try:
                raise ValueError(f"DVC does not know ~; write {Path(folder).expanduser()}")
            except RuntimeError:
                raise ValueError("DVC does not know ~, and no user is called so; write the whole path") from None
        if (whole := os.path.expandvars(folder)) != folder:
            raise ValueError(f"DVC does not read variables of the environment; write {whole}")
        return folder
