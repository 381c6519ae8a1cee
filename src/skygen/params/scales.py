"""The section scales of params.yaml: how much is made, and for how long it is trained."""

from typing import Annotated

from pydantic import Field

from skygen.params.section import Count, Positive, Section


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
