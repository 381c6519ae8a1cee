"""What the metrics say of the survey's own tiles, and of noise as strong as theirs."""

from pathlib import Path

import numpy as np
import pytest

from skygen.evaluation.control_values import SplitControls
from skygen.evaluation.halvings import halvings
from skygen.evaluation.scoring import describe, entries, relate
from skygen.measure import pixels
from skygen.measure.metric import Given
from skygen.measure.score import halves
from skygen.measure.table import measures_of
from skygen.sky.frame import read_frame
from skygen.sky.noise import sky_noise

FRAME = Path(__file__).parents[3] / "shared/sdss/frame-r-003918-3-0213.fits.bz2"
SIZE = 64


@pytest.fixture(scope="module")
def survey() -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint halves of a field's tiles."""
    if not FRAME.is_file():
        pytest.skip(f"{FRAME.name} is not beside the project")
    flux = read_frame(FRAME).flux_nmgy
    rows, columns = flux.shape[0] // SIZE, flux.shape[1] // SIZE
    grid = flux[: rows * SIZE, : columns * SIZE].reshape(rows, SIZE, columns, SIZE).swapaxes(1, 2)
    tiles = grid.reshape(-1, 1, SIZE, SIZE)[:400]
    first, second = halves(["3918-3-213"] * len(tiles))
    return tiles[first], tiles[second]


def evaluate(fake, real):
    """The flat section of metrics.json of tiles against real ones."""
    measures = measures_of(Given("r"))
    sets = (describe(tiles, measures) for tiles in (fake, real))
    found = relate(*sets, measures, halvings([0] * len(fake), 20, (0,)))
    no_controls = SplitControls(tiles=len(real), fields=1, repeated=0, values={}, real_real={}, matched={})
    return dict(entries(no_controls.section(found)))


def test_pure_noise_passes_noise_and_diversity_and_fails_everything_else(survey):
    real_a, real_b = survey
    rng = np.random.default_rng(0)
    level = sky_noise(real_a)[:, :, None, None]  # each tile's own
    found = evaluate((level * rng.normal(0, 1, real_a.shape)).astype(np.float32), real_b)
    real_real = evaluate(real_a, real_b)

    assert found["sky_noise"]["value"] == pytest.approx(1, abs=0.02)
    assert found["noise_correlation"]["value"] < 0.02
    assert found["diversity"]["value"] > 0.3
    assert found["sources.per_tile"]["value"] == 0
    for key in ("pixel_w1", "power_spectrum", "sources.number"):
        assert found[key]["interval"][0] > 2 * real_real[key]["value"]


def test_noise_half_as_strong_again_is_found(survey):
    real_a, real_b = survey
    rng = np.random.default_rng(1)
    added = 0.025 * np.sqrt(1.5**2 - 1) * rng.normal(0, 1, real_a.shape)
    found = evaluate((real_a + added).astype(np.float32), real_b)

    assert found["sky_noise"]["interval"][0] > 1.3
    assert found["pixel_w1"]["value"] > 3 * evaluate(real_a, real_b)["pixel_w1"]["value"]


def test_half_of_the_field_is_like_the_other_half(survey):
    found = evaluate(*survey)

    assert found["sky_noise"]["value"] == pytest.approx(1, abs=0.02)
    assert found["noise_correlation"]["value"] < 0.02
    assert found["sources.per_tile"]["value"] == pytest.approx(1, abs=0.35)
    assert found["sources.magnitude"]["value"] < 0.5
    assert found["sources.half_light_radius"]["value"] < 0.5


def test_flux_distances_do_not_see_that_the_survey_holds_whole_counts_but_noise_and_sky_level(survey):
    first, second = survey
    rng = np.random.default_rng(2)
    count_nmgy, noise_nmgy = 0.00513, 0.0245

    def apart(fake, real):
        return pixels.compare(*(pixels.summarise(pixels.describe(tiles), np.ones(200)) for tiles in (fake, real)))

    real_real = apart(first, second)
    assert apart(first + count_nmgy * rng.uniform(-0.5, 0.5, first.shape), first) < real_real / 4
    assert apart(first + 0.2 * noise_nmgy * rng.normal(0, 1, first.shape), first) > real_real  # 2 % more noise
    assert apart(first + 0.003, first) > 5 * real_real
