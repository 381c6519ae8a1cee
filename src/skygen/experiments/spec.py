"""The form of experiments/NAME.yaml: one question, what is varied for it, the paper's numbers and its claims.

An arm is one of the ways to train that are compared: a recipe of params.yaml with the values of one level of each axis
of the grid. All is checked against params.yaml before anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from skygen.gan.recipes import Recipe, read_recipe
from skygen.measure.table import MEANINGS
from skygen.names import known
from skygen.params import Count, Params, ParamsError, Positive, Section, Seed, TrainingScale, validate

FOLDER = Path("experiments")
FACTORS = ("iterations_factor", "batch_factor")  # of a level: times the scale's, beside values of the recipe
STEADINESS = ("trouble", "last_over_best", "best_after")  # what a claim may be about beside a metric; less is better
Seeds = Annotated[list[Seed], Field(min_length=1)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]*$")]
OneOrSeveral = Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]


class Again(Section):
    """The arms that are trained from more seeds once all are known: the best ones, and those that claims prefer."""

    best: Count
    """How many arms, by `ranked_by`."""

    seeds: Seeds
    """All seeds that they then have; those that they have already are not trained again."""


class Claim(Section):
    """A claim of the paper: one arm is better than others. It is judged on the seeds of the file, by paired tests."""

    text: Annotated[str, Field(min_length=1)]
    """The claim in a sentence."""

    better: str
    """The arm that the paper prefers."""

    than: OneOrSeveral = Field(default_factory=list)
    """The arm, or the list of arms, that it is better than; every other one where left out."""

    metric: str | None = None
    """The metric by which it is better, that is nearer to perfect; `ranked_by` where left out. Or how steady trainings
    are: `trouble`, the share that collapse, diverge or are lost; `last_over_best`, the last validation score over the
    best one; `best_after`, the images until the best one. Less is better in these three."""

    split: Literal["validation", "test"] = "test"
    """The tiles on which the metric is measured."""

    sets: list[str] = Field(default_factory=list)
    """The tile sets that the claim is about; all of the file where left out."""


class Spec(Section):
    """The content of experiments/NAME.yaml."""

    title: Annotated[str, Field(min_length=1)]
    """The question, in a sentence."""

    aliases: list[Slug] = Field(default_factory=list)
    """Other names that the command takes, such as `table1`."""

    rows: Annotated[list[Annotated[str, Field(pattern=r"^P[0-9]+$")]], Field(min_length=1)]
    """The rows of the paper's description that it belongs to, such as P8."""

    sets: Annotated[dict[str, Seeds], Field(min_length=1)]
    """The judged tile sets, and the seeds of every arm there."""

    recipes: Annotated[list[str], Field(min_length=1)]
    """The rows of params.yaml that arms are made from."""

    grid: dict[Slug, Annotated[dict[Slug, dict[str, Any]], Field(min_length=1)]] = Field(default_factory=dict)
    """By axis and level, the values of the recipe that the level sets; `iterations_factor` and `batch_factor` multiply
    the scale's. Arms are the levels of one axis, each with each of another's, for every recipe."""

    again: Again | None = None
    """Which arms are trained again from more seeds; left out, none are."""

    ranked_by: str = "kernel"
    """The metric by which arms are ranked on the validation tiles: by how far its mean over seeds is from perfect."""

    against: str | None = None
    """The arm that all others are compared with, seed by seed."""

    length: dict[str, Positive] = Field(default_factory=dict)
    """By scale, what the iterations of all arms are multiplied by, so that the whole ends in time; 1 where left out."""

    paper: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By tile set and arm, the number that the paper gives; larger is better there."""

    claims: list[Claim] = Field(default_factory=list)
    """What the paper claims, and the report gives a verdict on."""

    @property
    def claimed(self) -> list[str]:
        """The arms that claims prefer."""
        return list(dict.fromkeys(claim.better for claim in self.claims))


@dataclass(frozen=True)
class Arm:
    """One way to train: the row `recipe` of params.yaml with some values changed, typed, and factors of the scale."""

    name: str
    recipe: str
    row: Recipe
    values: Mapping[str, Any]
    factors: Mapping[str, float]

    def scaled(self, scale: TrainingScale, length: float) -> TrainingScale:
        """The scale of its trainings, of which iterations are `length` times as many."""
        iterations = round(scale.iterations * length * self.factors.get("iterations_factor", 1.0))
        batch = round(scale.batch * self.factors.get("batch_factor", 1.0))
        return scale.model_copy(update={"iterations": max(1, iterations), "batch": max(2, batch)})


@dataclass(frozen=True)
class Experiment:
    """An experiment of a name, checked against the parameters that it runs with."""

    name: str
    spec: Spec
    arms: Mapping[str, Arm]
    params: Params

    @property
    def length(self) -> float:
        """What iterations are multiplied by at the scale in use."""
        return self.spec.length.get(self.params.scale, 1.0)


def read_experiments(params: Params, folder: Path = FOLDER) -> dict[str, Experiment]:
    """All experiments in `folder` by their names; raises `ParamsError` or `ValueError`, which name file and key."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no experiments; run from the project's root")
    experiments = {path.stem: _read(path, params) for path in paths}
    names = [*experiments, *(alias for found in experiments.values() for alias in found.spec.aliases)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ParamsError(f"{folder}: {', '.join(twice)} names two experiments; rename one")
    return experiments


def choose(experiments: Mapping[str, Experiment], named: Sequence[str]) -> list[Experiment]:
    """The experiments of some names or aliases; raises `ValueError`, which lists all, for another."""
    by_name = {name: found for key, found in experiments.items() for name in (key, *found.spec.aliases)}
    return list({by_name[name].name: by_name[name] for name in known("experiment", named, list(by_name))}.values())


def _read(path: Path, params: Params) -> Experiment:
    try:
        raw = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}") from error
    spec = validate(Spec, raw, str(path))
    try:
        known("tile set with an encoder", list(spec.sets), list(params.judged))
        known("recipe", spec.recipes, list(params.recipes))
        known("metric", [spec.ranked_by], list(MEANINGS))
        known("scale", list(spec.length), list(params.scales))
        arms = {arm.name: arm for arm in _arms(path, spec, params)}
        known("arm in `against`", [spec.against] if spec.against else [], list(arms))
        known("tile set in `paper`", list(spec.paper), list(spec.sets))
        for numbers in spec.paper.values():
            known("arm in `paper`", list(numbers), list(arms))
        for claim in spec.claims:
            _check(claim, spec, arms)
    except ParamsError:
        raise
    except ValueError as error:
        raise ParamsError(f"{path}: {error}") from None
    return Experiment(path.stem, spec, arms, params)


def _check(claim: Claim, spec: Spec, arms: Mapping[str, Arm]) -> None:
    known("arm in `claims`", [claim.better], list(arms))
    others = [arm for arm in arms if arm != claim.better]
    if not others:
        raise ValueError(f"the claim {claim.text!r} has no arm beside {claim.better} to be better than")
    known(f"other arm than {claim.better} in `claims`", claim.than, others)
    known("metric or steadiness in `claims`", [claim.metric] if claim.metric else [], [*MEANINGS, *STEADINESS])
    known("tile set in `claims`", claim.sets, list(spec.sets))


def _arms(path: Path, spec: Spec, params: Params) -> list[Arm]:
    """Every recipe with each combination of levels; a name says what differs alone."""
    arms = []
    for recipe, levels in product(spec.recipes, product(*(axis.items() for axis in spec.grid.values()))):
        parts = [*([recipe] if len(spec.recipes) > 1 or not levels else []), *(name for name, _ in levels)]
        name = "-".join(parts)
        values = {key: value for _, level in levels for key, value in level.items()}
        known(f"value of {recipe} in arm {name}", list(values), [*FACTORS, *params.recipes[recipe]])
        factors = {key: float(values.pop(key)) for key in FACTORS if key in values}
        if any(factor <= 0 for factor in factors.values()):
            raise ValueError(f"arm {name}: {', '.join(factors)} must be above 0")
        row = read_recipe({**params.recipes[recipe], **values}, f"{path}: arm {name}")
        arms.append(Arm(name, recipe, row, values, factors))
    return arms
