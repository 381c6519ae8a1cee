from functools import cache

import numpy as np
import pytest

from skygen.sky.inspection.binned import align, bin_pixels, flatten, mark_sources
from skygen.sky.inspection.defects import Capsule
from skygen.sky.inspection.detection import SOURCE
from skygen.sky.inspection.trails import MIN_LENGTH_PX, find_trails

NOISE_NMGY = 0.025
SHAPE = (480, 640)
ROWS, COLUMNS = np.indices(SHAPE).astype(np.float32)


@cache
def sky(seed):
    return np.random.default_rng(seed).normal(0, NOISE_NMGY, SHAPE).astype(np.float32)


@cache
def stars(seed=0, count=60):
    rng = np.random.default_rng(seed)
    image = np.zeros(SHAPE, np.float32)
    places = rng.uniform(0, 639, count), rng.uniform(0, 479, count)
    for x, y, flux in zip(*places, 3 * rng.pareto(0.8, count), strict=True):
        near = np.s_[max(0, int(y) - 15) : int(y) + 16, max(0, int(x) - 15) : int(x) + 16]
        image[near] += min(flux, 500) / 13 * np.exp(-((COLUMNS[near] - x) ** 2 + (ROWS[near] - y) ** 2) / 4)
    return image


def line(x, y, angle_deg, peak_nmgy, length=4000.0, sigma_px=1.5):
    """A trail through (x, y) at an angle from the columns' axis x, `length` px long around it."""
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    along, across = (COLUMNS - x) * cosine + (ROWS - y) * sine, -(COLUMNS - x) * sine + (ROWS - y) * cosine
    return peak_nmgy * np.exp(-(across**2) / (2 * sigma_px**2)) * (np.abs(along) < length / 2)


def found(image, *others, **named):
    return find_trails(flatten(bin_pixels(image)), [flatten(bin_pixels(other)) for other in others], **named)


def assert_lies_on(trail, x, y, angle_deg):
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    for at_x, at_y in ((trail.x0, trail.y0), (trail.x1, trail.y1)):
        assert abs(-(at_x - x) * sine + (at_y - y) * cosine) < 6


@pytest.mark.parametrize("angle_deg", [3, 45, 77, 92, 120])
@pytest.mark.parametrize("peak", [1.2, 30.0])
def test_a_trail_in_one_band_is_found_along_its_length(angle_deg, peak):
    image = sky(0) + stars() + line(300, 250, angle_deg, peak * NOISE_NMGY)
    (trail,) = found(image, sky(1) + stars(), sky(2) + stars())

    assert_lies_on(trail, 300, 250, angle_deg)
    inside = np.ptp(COLUMNS[line(300, 250, angle_deg, 1.0) > 0.9]), np.ptp(ROWS[line(300, 250, angle_deg, 1.0) > 0.9])
    assert np.hypot(trail.x1 - trail.x0, trail.y1 - trail.y0) == pytest.approx(np.hypot(*inside), rel=0.08)
    assert 4 <= trail.radius_px <= 16


def test_a_short_trail_is_found_from_end_to_end():
    (trail,) = found(sky(0) + stars() + line(300, 220, 25, 4 * NOISE_NMGY, length=300), sky(1) + stars())

    assert_lies_on(trail, 300, 220, 25)
    assert np.hypot(trail.x1 - trail.x0, trail.y1 - trail.y0) == pytest.approx(300, abs=40)


def test_the_capsule_covers_the_trails_light_and_some_px_beyond_its_ends():
    light = line(300, 220, 25, 10 * NOISE_NMGY, length=300)
    (trail,) = found(sky(0) + light, sky(1))
    kind, x0, y0, x1, y1, radius = trail.capsule()
    along = np.array([x1 - x0, y1 - y0]) / np.hypot(x1 - x0, y1 - y0)
    part = np.clip((COLUMNS - x0) * along[0] + (ROWS - y0) * along[1], 0, np.hypot(x1 - x0, y1 - y0))
    apart = np.hypot(COLUMNS - x0 - part * along[0], ROWS - y0 - part * along[1])

    assert kind == "trail"
    assert (apart <= radius)[light > 0.5 * NOISE_NMGY].all()


def test_a_line_that_all_bands_show_is_no_trail():
    spike = line(300, 250, 40, 2 * NOISE_NMGY, length=500)

    assert found(sky(0) + stars() + spike, sky(1) + stars() + 0.8 * spike, sky(2) + stars() + 0.6 * spike) == []


@pytest.mark.parametrize("seed", range(3))
def test_sky_without_trails_has_none(seed):
    assert found(sky(seed) + stars(seed), sky(seed + 10) + stars(seed), sky(seed + 20) + stars(seed)) == []


def test_a_trail_shorter_than_the_least_length_is_left():
    assert found(sky(0) + line(300, 220, 25, 20 * NOISE_NMGY, length=0.7 * MIN_LENGTH_PX), sky(1)) == []


def test_levels_of_rows_and_columns_and_a_gradient_are_no_trails():
    rng = np.random.default_rng(3)
    uneven = rng.normal(0, 0.5 * NOISE_NMGY, (SHAPE[0], 1)) + rng.normal(0, 0.5 * NOISE_NMGY, (1, SHAPE[1]))
    image = sky(0) + uneven + COLUMNS / SHAPE[1] * 3 * NOISE_NMGY

    assert found(image.astype(np.float32), sky(1)) == []


def test_two_trails_are_two():
    image = sky(0) + stars() + line(300, 120, 10, 2 * NOISE_NMGY) + line(200, 300, 80, 2 * NOISE_NMGY)

    assert len(found(image, sky(1) + stars(), sky(2) + stars())) == 2


def test_a_single_band_knows_its_sources():
    light = stars()
    bright = np.argwhere(bin_pixels(light) > 2 * NOISE_NMGY)
    sources = np.zeros(len(bright), SOURCE)
    sources["y"], sources["x"] = 4 * bright.T + 1.5
    sources["half_light_radius_px"] = 2
    known = mark_sources(sources, [], (120, 160))

    assert found(sky(0) + light, sources=known) == []
    (trail,) = found(sky(0) + light + line(300, 250, 30, 2 * NOISE_NMGY), sources=known)
    assert_lies_on(trail, 300, 250, 30)


def test_long_sources_are_not_marked_for_they_may_be_pieces_of_a_trail():
    sources = np.zeros(2, SOURCE)
    sources["x"], sources["y"], sources["half_light_radius_px"] = [201.5, 501.5], 201.5, 4
    sources["ellipticity"] = [0.2, 0.8]
    marked = mark_sources(sources, [], (120, 160))

    assert marked[50, 50]
    assert not marked[:, 100:].any()


def test_haloes_and_spikes_are_marked():
    circle, spike = Capsule("halo", 101.5, 101.5, 101.5, 101.5, 40), Capsule("halo", 301.5, 301.5, 401.5, 301.5, 8)
    marked = mark_sources(np.zeros(0, SOURCE), [circle, spike], (120, 160))

    assert marked[25, 25]
    assert marked[25, 34]
    assert not marked[25, 38]
    assert marked[75, 75:120].all()
    assert not marked[80, 75:120].any()


def test_bands_are_aligned_by_whole_binned_pixels():
    image = np.zeros(SHAPE, np.float32)
    image[300, 400] = 16.0
    moved = np.zeros(SHAPE, np.float32)
    moved[300 + 12, 400 - 4] = 16.0

    assert bin_pixels(image)[75, 100] == 1.0
    assert (align(bin_pixels(moved), -4.4, 11.6) == bin_pixels(image)).all()
    assert bin_pixels(np.ones((9, 14))).tolist() == [[1.0] * 3] * 2
