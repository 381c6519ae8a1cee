"""What the metrics say of the survey's own tiles, and of noise as strong as theirs."""

from pathlib import Path

import numpy as np
import pytest

from skygen.evaluation.controls import Controls, collapse
from skygen.evaluation.scoring import evaluate
from skygen.measure.score import halves
from skygen.measure.table import metrics
from skygen.sky.frame import read_frame
from skygen.sky.noise import sky_noise

FRAME = Path(__file__).parents[3] / "shared/sdss/frame-r-003918-3-0213.fits.bz2"
SIZE = 64


@pytest.fixture(scope="module")
def survey() -> Controls:
    if not FRAME.is_file():
        pytest.skip(f"{FRAME.name} is not beside the project")
    flux = read_frame(FRAME).flux_nmgy
    rows, columns = flux.shape[0] // SIZE, flux.shape[1] // SIZE
    grid = flux[: rows * SIZE, : columns * SIZE].reshape(rows, SIZE, columns, SIZE).swapaxes(1, 2)
    tiles = grid.reshape(-1, 1, SIZE, SIZE)[:400]
    first, second = halves(["3918-3-213"] * len(tiles))
    return Controls(tiles[first], tiles[second], tiles[first], collapse(tiles[first]), ["3918-3-213"] * len(second))


def test_pure_noise_passes_noise_and_diversity_and_fails_everything_else(survey):
    rng = np.random.default_rng(0)
    level = sky_noise(survey.real_a)[:, :, None, None]  # each tile's own
    section = evaluate((level * rng.normal(0, 1, survey.real_a.shape)).astype(np.float32), survey, metrics("r"), 20)

    assert section["sky_noise"]["value"] == pytest.approx(1, abs=0.02)
    assert section["diversity"]["value"] > 0.3
    assert section["sources"]["per_tile"]["value"] == 0
    for metric in (section["pixel_w1"], section["power_spectrum"], section["sources"]["number"]):
        assert metric["interval"][0] > 2 * metric["real_real"]


def test_noise_half_as_strong_again_is_found(survey):
    rng = np.random.default_rng(1)
    added = 0.025 * np.sqrt(1.5**2 - 1) * rng.normal(0, 1, survey.real_a.shape)
    section = evaluate((survey.real_a + added).astype(np.float32), survey, metrics("r"), 20)

    assert section["sky_noise"]["interval"][0] > 1.3
    assert section["pixel_w1"]["value"] > 3 * section["pixel_w1"]["real_real"]


def test_half_of_the_field_is_like_the_other_half(survey):
    section = evaluate(survey.real_a, survey, metrics("r"), 20)

    assert section["sky_noise"]["value"] == pytest.approx(1, abs=0.02)
    assert section["sources"]["per_tile"]["value"] == pytest.approx(1, abs=0.35)
    assert section["sources"]["magnitude"]["value"] < 0.5
    assert section["sources"]["half_light_radius"]["value"] < 0.5
