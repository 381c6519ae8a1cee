import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from skygen.sky.inspection.defects import DEFECT, MASKED_RUN, Capsule, find_masked, table, touching

SHAPE = (120, 200)


def noise(seed=0):
    return np.random.default_rng(seed).normal(0, 0.025, SHAPE).astype(np.float32)


def covers(capsule, x, y):
    """Whether pixels lie in a capsule, by the distance from a point to a segment."""
    start, along = np.array(capsule[1:3]), np.array(capsule[3:5]) - capsule[1:3]
    points = np.stack([x, y], -1) - start
    part = np.clip(points @ along / max(along @ along, 1e-12), 0, 1)
    return np.hypot(*np.moveaxis(points - part[..., None] * along, -1, 0)) <= capsule[5]


def pixels_covered(capsules, shape=SHAPE):
    y, x = np.indices(shape)
    return np.logical_or.reduce([covers(capsule, x, y) for capsule in capsules])


@pytest.mark.parametrize("kind", ["trail", "saturated", "masked"])
@pytest.mark.parametrize("size", [64, 128])
def test_touching_is_what_a_look_at_every_pixel_finds(kind, size):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 150, 40), rng.integers(0, 150, 40)
    for _ in range(12):
        capsule = Capsule(kind, *rng.uniform(-50, 300, 4), rng.uniform(0, 40))
        touched = touching(table({"r": [capsule]}), x, y, size)
        covered = pixels_covered([capsule], (150 + size, 150 + size))
        looked = np.array([covered[b : b + size, a : a + size].any() for a, b in zip(x, y, strict=True)])
        # The tile's square is whole, pixels are points: these differ where a capsule's edge passes between two of them.
        assert (touched[kind] != looked).mean() < 0.06
        assert not (~touched[kind] & looked).any()
        assert not any(touched[other].any() for other in set(touched) - {kind})


def test_a_short_trail_inside_a_tile_touches_it_and_not_its_neighbour():
    trail = table({"r": [Capsule("trail", 30, 30, 34, 31, 2)]})

    assert touching(trail, np.array([0, 64]), np.array([0, 0]), 64)["trail"].tolist() == [True, False]


def test_the_distance_counts_to_the_nearest_pixel():
    circle = table({"r": [Capsule("saturated", 100.0, 10.0, 100.0, 10.0, 5.0)]})
    x = np.array([32, 31, 105, 106])  # of 64 px: the last pixels are 95, 94; the first 105, 106

    assert touching(circle, x, np.zeros(4, int), 64)["saturated"].tolist() == [True, False, True, False]


def test_a_halo_spoils_the_tiles_beside_its_star_but_not_the_one_that_shows_it():
    halo = table({"r": [Capsule("halo", 70.0, 10.0, 70.0, 10.0, 30.0)]})
    spike = table({"r": [Capsule("halo", 70.0, 10.0, 300.0, 10.0, 4.0)]})
    x, y = np.array([0, 64, 128, 192]), np.zeros(4, int)

    assert touching(halo, x, y, 64)["halo"].tolist() == [True, False, False, False]
    assert touching(spike, x, y, 64)["halo"].tolist() == [False, False, True, True]


def test_without_defects_nothing_is_touched():
    touched = touching(np.zeros(0, DEFECT), np.arange(5), np.arange(5), 64)

    assert sorted(touched) == ["halo", "masked", "saturated", "trail"]
    assert not any(kind.any() for kind in touched.values())


def test_noise_as_the_survey_packs_it_has_no_masked_area():
    coarse = (noise().view(np.uint32) & np.uint32(0xFFFFC000)).view(np.float32)

    assert find_masked(coarse) == []


@pytest.mark.parametrize("value", [0.0, 0.31])
@pytest.mark.parametrize(
    "box", [np.s_[40:90, 50:120], np.s_[60:61, 20:180], np.s_[:, 77:78], np.s_[:30, :], np.s_[100:, 180:]]
)
def test_areas_of_equal_pixels_are_found_and_little_else(value, box):
    image = noise()
    image[box] = value
    truth = np.zeros(SHAPE, bool)
    truth[box] = True
    found = pixels_covered(find_masked(image))

    assert found[truth].all()
    assert (found & ~binary_dilation(truth, iterations=8)).sum() == 0


@pytest.mark.parametrize(("length", "is_found"), [(MASKED_RUN - 1, False), (MASKED_RUN, True)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_run_counts_from_twelve_pixels(length, is_found, axis):
    image = noise()
    image[(slice(50, 50 + length), 60) if axis == 0 else (50, slice(60, 60 + length))] = 0.0

    assert (len(find_masked(image)) == 1) == is_found


def test_the_table_holds_every_capsule_with_its_band():
    circle = Capsule("halo", 1.0, 2.0, 1.0, 2.0, math.pi)
    made = table({"g": [circle], "r": [], "i": [circle, Capsule("masked", 0, 0, 5, 0, 1)]})

    assert made.dtype == DEFECT
    assert made["band"].tolist() == ["g", "i", "i"]
    assert made["kind"].tolist() == ["halo", "halo", "masked"]
    assert made["radius_px"].tolist() == [math.pi, math.pi, 1.0]
    assert len(table({"r": []})) == 0
