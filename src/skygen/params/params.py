"""The whole of params.yaml, read once at a stage's edge.

An unknown key, a wrong type or a value out of range raises `ParamsError`, which names the key, the value and what is
legal. The rows of `recipes` get their typed form where they are used, in `skygen.gan.recipes`.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from skygen.params.evaluation import EncoderParams, EvaluationParams
from skygen.params.frames import FramesParams
from skygen.params.scales import Scale
from skygen.params.section import ParamsError, Section, Seed, validate
from skygen.params.tiles import TileSetParams, TilesParams


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
