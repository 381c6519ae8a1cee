from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skygen.sky.ccd import dark_variance_of_halves_counts2, gain_e_per_count
from skygen.sky.field import FieldId, frame_name
from skygen.sky.noise import MAD_TO_SIGMA, pixel_noise, sky_level, sky_noise
from skygen.sky.readout import halves_of
from skygen.sky.simulation.simulate import DEFERRED, simulate_field

SURVEY = Path(__file__).parents[3] / "shared" / "sdss"
BOTH = pytest.mark.parametrize("measure", [sky_noise, pixel_noise])
ROUNDING_COUNTS2 = 1 / 12  # the variance of what whole counts leave away


def sky(shape, sigma=0.03, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, shape)


def mad(image):
    return MAD_TO_SIGMA * np.median(np.abs(image - np.median(image)))


def expected_nmgy(field_id, band, half, sky_counts, nmgy_per_count, correlation=0.0):
    """The noise of the photons of the sky, in electrons, of the half's electronics, and of whole counts."""
    shared = (1 - correlation) ** 2 + correlation**2
    photons = sky_counts / gain_e_per_count(field_id, band) * shared
    dark = dark_variance_of_halves_counts2(field_id, band)[half]
    return np.sqrt(photons + dark + ROUNDING_COUNTS2) * nmgy_per_count


@BOTH
def test_it_is_the_standard_deviation_of_normal_noise(measure):
    for seed in range(5):
        assert measure(sky((512, 640), seed=seed)) == pytest.approx(0.03, rel=0.007)


def test_it_scatters_less_than_the_median_absolute_deviation():
    tiles = sky((300, 64, 64))
    scatter = sky_noise(tiles).std() / 0.03

    assert 1 / np.sqrt(2 * 4096) < scatter < 1.2 / np.sqrt(2 * 4096)  # the first is that of the whole's deviation
    assert np.std([mad(tile) for tile in tiles]) / 0.03 > 1.4 * scatter


@pytest.mark.parametrize("counts", [4.0, 5.0, 6.0, 7.0, 8.0])
@pytest.mark.parametrize("level", [0.0, 0.25, 0.5])
def test_whole_counts_hide_nothing(counts, level):
    image = np.rint(sky((512, 512), counts) + level)
    expected = np.sqrt(counts**2 + ROUNDING_COUNTS2)

    assert sky_noise(image) == pytest.approx(expected, rel=0.02)
    assert pixel_noise(image) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("level", [-0.4, 0.0, 0.1, 0.25])
def test_the_sky_level_is_found_among_whole_counts_and_sources(level):
    counts = sky((512, 512), 5.0) + level
    y, x = np.mgrid[:512, :512]
    sources = sum(2000 * np.exp(-((x - at) ** 2 + (y - at) ** 2) / 8) for at in range(20, 500, 80))
    halo = 20 * np.exp(-np.hypot(x - 100, y - 400) / 30)
    found = sky_level(np.rint(counts + sources + halo))

    assert found == pytest.approx(level, abs=0.08)  # 5 / 512 by chance, and what a sixteenth of the blocks has more
    assert np.median(np.rint(counts)) in {-1, 0, 1}  # a median of whole counts does not say it


def test_whole_counts_move_a_median_absolute_deviation_by_a_tenth():
    errors = [abs(mad(np.rint(sky((512, 512), counts))) / counts - 1) for counts in (4.0, 5.0, 6.0, 7.0, 8.0)]

    assert max(errors) > 0.1


def test_each_image_has_its_own():
    sigmas = np.array([[0.01, 0.02, 0.04], [0.1, 0.2, 0.4]])
    images = sky((2, 3, 200, 200), 1.0) * sigmas[..., None, None]

    assert sky_noise(images) == pytest.approx(sigmas, rel=0.02)
    assert [[pixel_noise(image) for image in row] for row in images] == pytest.approx(sigmas, rel=0.03)


@BOTH
def test_a_bright_star_and_a_level_do_not_move_it(measure):
    image = sky((256, 256))
    bright = image + 5.0
    bright[90:100, 90:100] += 1000.0

    assert measure(image + 5.0) == pytest.approx(measure(image), rel=1e-9)
    assert measure(bright) == pytest.approx(measure(image), rel=0.01)
    assert np.std(bright) > 100 * measure(bright)


def test_gradients_and_haloes_move_the_noise_of_pixels_by_less_than_a_hundredth():
    image, (y, x) = sky((256, 256)), np.mgrid[:256, :256] / 256
    gradient = image + 0.3 * x + 0.2 * y
    halo = image + 0.01 / ((x - 0.5) ** 2 + (y - 0.5) ** 2 + 0.01)

    for spread in (gradient, halo):
        assert pixel_noise(spread) == pytest.approx(pixel_noise(image), rel=0.01)
        assert sky_noise(spread) > 1.5 * sky_noise(image)  # which measures the light too


@BOTH
def test_a_constant_image_has_none(measure):
    for value in (0.0, 7.0, 0.1):  # 0.1 is no binary fraction
        assert measure(np.full((16, 16), value, np.float32)) == 0
    assert sky_noise(np.full((3, 16, 16), 7.0, np.float32)).tolist() == [0.0, 0.0, 0.0]


@BOTH
def test_it_follows_the_unit(measure):
    image = sky((64, 64))

    assert measure(10 * image) == pytest.approx(10 * measure(image), rel=1e-12)
    assert measure(image.astype(np.float32)) == pytest.approx(measure(image), rel=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (48, 64), (63, 500), (64, 64), (65, 127), (200, 264)])
def test_images_of_any_size_have_the_noise_of_their_pixels(shape):
    assert pixel_noise(sky(shape)) == pytest.approx(0.03, rel=4 / np.sqrt(np.prod(shape)))


@pytest.mark.parametrize("index", range(3))
def test_simulated_fields_have_the_noise_they_were_given(index):
    for frame in simulate_field(3, index, (744, 1024)):
        for half, flux in halves_of(frame.flux_nmgy).items():
            sky_counts = frame.sky_counts.mean()
            expected = expected_nmgy(frame.field_id, frame.band, half, sky_counts, frame.nmgy_per_count, DEFERRED)
            assert pixel_noise(flux) == pytest.approx(expected, rel=0.02)
            assert 0.99 * expected < sky_noise(flux) < 1.08 * expected  # and the light of faint sources


FIELDS = [(94, 1, 12), (1035, 6, 17), (1043, 5, 25), (1992, 1, 87), (3184, 2, 169), (3918, 3, 213), (4510, 4, 30)]
FIELDS += [(7264, 3, 111)]
IN_I = [("i", *field) for field in FIELDS]


def survey_frame(band, *identity):
    """Field, pixels, calibration and sky in counts of one of the survey's frames."""
    field_id = FieldId(*identity)
    path = SURVEY / frame_name(band, field_id)
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    with fits.open(path) as hdus:
        return field_id, hdus[0].data, float(np.median(hdus[1].data)), hdus[2].data["ALLSKY"].mean()


@pytest.mark.parametrize(
    "name", [("g", 94, 1, 12), ("r", 94, 1, 12), ("r", 1992, 1, 87), ("r", 4510, 4, 30), *IN_I], ids=str
)
def test_each_half_of_the_surveys_frames_has_the_noise_of_its_sky_and_electronics(name):
    field_id, flux, calibration, sky_counts = survey_frame(*name)
    for half, part in halves_of(flux).items():
        expected = expected_nmgy(field_id, name[0], half, sky_counts, calibration)
        assert pixel_noise(part) == pytest.approx(expected, rel=0.05 if name[0] != "i" else 0.02)


@pytest.mark.parametrize("name", [name for name in IN_I if name[2] != 5], ids=str)  # column 5's halves are alike
def test_the_noise_of_the_surveys_frames_in_i_steps_at_the_middle_column(name):
    _, flux, _, _ = survey_frame(*name)
    edges = np.arange(1024 - 4 * 64, 1024 + 5 * 64, 64)
    strips = np.array([pixel_noise(flux[:, start : start + 64]) for start in edges[:-1]])
    steps = np.abs(np.diff(np.log(strips)))

    assert edges[1 + steps.argmax()] == 1024
    assert steps.max() > 0.08 > 1.5 * np.sort(steps)[-2]


def test_an_image_too_faint_for_its_numbers_has_none():
    """A generator that has collapsed may paint one: squares of 1e-29 are 0 in float32."""
    faint = np.random.default_rng(0).normal(0, 1e-29, (2, 64, 64)).astype(np.float32)

    assert sky_noise(faint).tolist() == [0, 0]
