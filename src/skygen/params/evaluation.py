"""The sections encoder and evaluation of params.yaml: in what features tiles are compared, and who may be champion."""

from typing import Annotated

from pydantic import Field, field_validator

from skygen.params.section import Count, Positive, Section, Seed


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
