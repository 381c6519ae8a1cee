"""params.yaml as frozen typed models."""

from skygen.params.evaluation import ChampionParams, EncoderParams, EncoderTraining
from skygen.params.frames import Box, Circle, SelectionParams, SurveyParams
from skygen.params.params import Params, load, load_or_end
from skygen.params.scales import FramesScale, TilesScale, TrainingScale
from skygen.params.section import Count, ParamsError, Positive, Section, Seed, validate
from skygen.params.tiles import SOURCE_SNR_FLOOR, Flag, HoldOutParams, Size, TileSetParams, TilesParams

__all__ = [
    "SOURCE_SNR_FLOOR",
    "Box",
    "ChampionParams",
    "Circle",
    "Count",
    "EncoderParams",
    "EncoderTraining",
    "Flag",
    "FramesScale",
    "HoldOutParams",
    "Params",
    "ParamsError",
    "Positive",
    "Section",
    "Seed",
    "SelectionParams",
    "Size",
    "SurveyParams",
    "TileSetParams",
    "TilesParams",
    "TilesScale",
    "TrainingScale",
    "load",
    "load_or_end",
    "validate",
]
