"""params.yaml as frozen typed models, read once at a stage's edge.

An unknown key, a wrong type or a value out of range raises `ParamsError`, which names the key, the value and what is
legal. The rows of `recipes` get their typed form where they are used, in `skygen.gan.recipes`.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

SOURCE_SNR_FLOOR = 5.0  # of the sources that the stage frames lists: a tile set cannot ask for fainter ones

Size = Literal[64, 128]  # px, side of a tile
Band = Literal["u", "g", "r", "i", "z"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=0.5)]
Positive = Annotated[float, Field(gt=0)]
RightAscension = Annotated[float, Field(ge=0, lt=360)]
Declination = Annotated[float, Field(ge=-90, le=90)]
FieldName = Annotated[str, Field(pattern=r"^[0-9]{1,6}-[1-6]-[0-9]{1,4}$")]  # run-camcol-field, quoted: YAML sees dates
Flag = Literal["trail", "halo", "saturated", "masked"]  # what skygen.sky.inspection.defects finds


class ParamsError(ValueError):
    """params.yaml does not say what it must; the message names the key, the value and what is legal."""


class Section(BaseModel):
    """A part of params.yaml: frozen, strict about types, closed to unknown keys and to NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=BaseModel)


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


class FramesScale(Section):
    """How much sky is simulated, or selected from the survey: at least one field a split."""

    fields: Annotated[int, Field(ge=3, lt=100_000)]  # a simulated field has a run of its own, of six digits


class TilesScale(Section):
    """How many tiles a field gives at most, so that a field's tiles do not depend on what other fields there are.

    Of a held-out field null is all tiles of its grid that are fit.
    """

    train_a_field: Count
    held_out_a_field: Annotated[int, Field(ge=8)] | None


class TrainingScale(Section):
    """How long and how wide a training is, and by how much it departs from its recipe's row."""

    iterations: Count  # generator updates
    batch: Annotated[int, Field(ge=2)]
    width: Annotated[int, Field(ge=2)]
    dropout_factor: Annotated[float, Field(gt=0, le=1)]
    clip_factor: Positive
    measurements: Count


class EvaluationScale(Section):
    """How often the held-out tiles are halved."""

    halvings: Annotated[int, Field(ge=10)]


class Scale(Section):
    """The sizes of one run of the pipeline."""

    frames: FramesScale
    tiles: dict[str, TilesScale]
    training: dict[str, TrainingScale]
    evaluation: EvaluationScale


class EncoderTraining(Section):
    """How the encoder of one tile set is trained."""

    train_a_field: Count  # tiles at most
    iterations: Count
    batch: Annotated[int, Field(ge=2)]
    width: Annotated[int, Field(ge=2)]


class EncoderParams(Section):
    """The frozen networks in whose features tiles are compared, and the simulated survey that they are trained on."""

    fields: Annotated[int, Field(ge=3, lt=100_000)]
    seed: Seed
    features: Annotated[int, Field(ge=8)]
    lr: Positive
    sets: Annotated[dict[str, EncoderTraining], Field(min_length=1)]


class ChampionParams(Section):
    """What a run must be like on the validation tiles to be a champion, before runs are ranked."""

    least_diversity: Annotated[float, Field(ge=0, le=1)]
    most_memorised: Annotated[float, Field(ge=0.5, le=1)]
    sky_noise: Annotated[list[Positive], Field(min_length=2, max_length=2)]  # least and most, over the real tiles'

    @field_validator("sky_noise")
    @classmethod
    def _right_noise_is_within(cls, bounds: list[float]) -> list[float]:
        if not bounds[0] < 1 < bounds[1]:
            raise ValueError("it must be two bounds around 1")
        return bounds


class EvaluationParams(Section):
    """What chance decides in an evaluation, and who may be champion."""

    seed: Seed
    champion: ChampionParams


class Params(Section):
    """The whole of params.yaml. `recipes` holds raw rows: `skygen.gan.recipes.read_recipes` types them."""

    scale: Literal["laptop", "workstation", "paper"]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    compared: Annotated[list[str], Field(min_length=1)]
    painters: list[str]
    processes: list[str]
    frames: FramesParams
    tiles: TilesParams
    recipes: dict[str, dict[str, Any]]
    encoder: EncoderParams
    evaluation: EvaluationParams
    scales: dict[str, Scale]

    @property
    def chosen(self) -> Scale:
        """The section of `scales` that `scale` names."""
        return self.scales[self.scale]

    @property
    def judged(self) -> dict[str, TileSetParams]:
        """The tile sets that models are compared on: those with an encoder. Of the others, models are only trained."""
        return {name: tile_set for name, tile_set in self.tiles.sets.items() if name in self.encoder.sets}

    @model_validator(mode="after")
    def _compared_recipes_exist(self) -> Self:
        unknown = sorted(set(self.compared) - set(self.recipes))
        if unknown:
            raise ValueError(f"compared names {unknown}, but recipes holds {sorted(self.recipes)}")
        if sorted(self.compared) != sorted([*self.painters, *self.processes]):
            raise ValueError(
                f"compared is {self.compared}, but painters and processes together are "
                f"{[*self.painters, *self.processes]}: each compared recipe must stand in one of them, once"
            )
        for names, kind in ((self.painters, "convolutional"), (self.processes, "process")):
            for name in names:
                if (said := self.recipes[name].get("generator")) != kind:
                    raise ValueError(f"recipes.{name}.generator is {said}, so that {name} belongs in the other list")
        return self

    @model_validator(mode="after")
    def _scales_cover_the_tile_sets(self) -> Self:
        if self.scale not in self.scales:
            raise ValueError(f"scale is {self.scale!r}, but scales holds {sorted(self.scales)}")
        for name, scale in self.scales.items():
            for part in (scale.tiles, scale.training):
                if set(part) != set(self.tiles.sets):
                    raise ValueError(f"scales.{name} names {sorted(part)}, but tiles holds {sorted(self.tiles.sets)}")
        return self

    @model_validator(mode="after")
    def _tile_sets_hold_out_the_same_fields(self) -> Self:
        for (first, wanted), (name, tile_set) in pairwise(self.tiles.sets.items()):
            for key in ("validation", "test", "hold_out", "seed"):
                value, other = tile_set.model_dump()[key], wanted.model_dump()[key]
                if value != other:
                    raise ValueError(
                        f"tiles.{name}.{key} is {value!r}, but tiles.{first}.{key} {other!r}, so that a model could be "
                        "trained on one set's sky and tested there by another; give all sets the same"
                    )
        return self

    @model_validator(mode="after")
    def _encoders_are_of_tile_sets_and_see_no_held_out_sky(self) -> Self:
        if unknown := sorted(set(self.encoder.sets) - set(self.tiles.sets)):
            raise ValueError(f"encoder.sets names {unknown}, but tiles holds {sorted(self.tiles.sets)}")
        if self.frames.source == "simulated" and self.encoder.seed == self.frames.seed:
            raise ValueError(
                f"encoder.seed and frames.seed are both {self.frames.seed}, so that encoders would be trained on "
                "held-out fields; give frames.seed another value"
            )
        return self


def load(path: Path) -> Params:
    """The validated parameters in the YAML file at `path`.

    Raises `FileNotFoundError` where it is missing and `ParamsError` where it is not YAML or not legal.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run from the project's root, where params.yaml lies")
    try:
        raw = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}") from error
    return validate(Params, raw, str(path))


def load_or_end() -> Params:
    """The parameters of the project in whose root a stage runs; ends the process with a sentence without any."""
    try:
        return load(Path("params.yaml"))
    except (ParamsError, OSError) as error:
        raise SystemExit(str(error)) from None


def validate(model: type[SectionT], raw: object, where: str) -> SectionT:
    """`raw` as a `model`; raises `ParamsError` with one line for each thing wrong, its key prefixed by `where`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(where, problem) for problem in error.errors()]
        raise ParamsError("\n".join(lines)) from None


def _explain(where: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key (value {problem['input']!r}); remove it or correct its name"
    if problem["type"] == "missing":
        return f"{where}: {key}: missing; it must be given"
    whole = not problem["loc"] and isinstance(problem["input"], dict)  # of the file, which says too much
    value = "" if whole else f" = {problem['input']!r}"
    return f"{where}: {key}{value}: {problem['msg']}"
