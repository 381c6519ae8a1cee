"""The section tiles of params.yaml: the tile sets, and the fields that are held out."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from skygen.params.frames import FieldName
from skygen.params.section import Positive, Section, Seed

SOURCE_SNR_FLOOR = 5.0  # of the sources that the stage frames lists: a tile set cannot ask for fainter ones

Size = Literal[64, 128]  # px, side of a tile
Band = Literal["u", "g", "r", "i", "z"]
Share = Annotated[float, Field(gt=0, lt=0.5)]
Flag = Literal["trail", "halo", "saturated", "masked"]  # what skygen.sky.inspection.defects finds


class HoldOutParams(Section):
    """The fields that are held out by name."""

    validation: Annotated[list[FieldName], Field(min_length=1)]
    test: Annotated[list[FieldName], Field(min_length=1)]

    @model_validator(mode="after")
    def _no_field_is_named_twice(self) -> Self:
        names = [*self.validation, *self.test]
        fields = [tuple(map(int, name.split("-"))) for name in names]  # 94-1-12 is 000094-1-0012
        twice = [name for place, name in enumerate(names) if fields[place] in fields[:place]]
        if twice:
            raise ValueError(f"each field is held out once; {', '.join(twice)} is named again: remove it there")
        return self


class TileSetParams(Section):
    """What a tile set holds and how networks see it."""

    size: Size
    bands: Annotated[list[Band], Field(min_length=1)]
    softening_nmgy: Positive
    limit_nmgy: Positive
    dtype: Literal["float16", "float32"]
    places: Literal["random", "grid"]
    require_source: bool
    source_snr: Annotated[float, Field(ge=SOURCE_SNR_FLOOR)]
    drop: list[Flag]
    validation: Share
    test: Share
    hold_out: HoldOutParams | None
    seed: Seed

    @model_validator(mode="after")
    def _bands_are_distinct_and_hold_r(self) -> Self:
        if "r" not in self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands must be distinct and hold r, on which the others are registered; got {self.bands}")
        if self.limit_nmgy <= self.softening_nmgy:
            raise ValueError(f"limit_nmgy must exceed softening_nmgy; got {self.limit_nmgy} and {self.softening_nmgy}")
        return self


class TilesParams(Section):
    """The tile sets by their names, and who cuts them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TileSetParams]

    scheduler: str | None

    @property
    def sets(self) -> dict[str, TileSetParams]:
        """Every tile set by its name."""
        return self.__pydantic_extra__

    def __getitem__(self, name: str) -> TileSetParams:
        return self.sets[name]
