"""The benchmark of clustering finds groups that are planted, and none where there are none."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.clustering import Catalogue, correlation, dispersion, fit_groups, of_csv, of_planes
from skygen.process.objects import ARCMIN2_A_PX
from skygen.sky.inspection.defects import DEFECT

SHAPE, SIDE, MARGIN = (1489, 2048), np.array([2048, 1489]), 300
EDGES_PX = np.geomspace(12, 500, 8)
NUMBER = 80  # a field
HALO = ("r", "halo", 600.0, 600.0, 600.0, 600.0, 300.0)


def field(places, defects=()):
    """A catalogue of galaxies at `places` [n, 2]."""
    inside = ((places > -0.5) & (places < SIDE - 0.5)).all(axis=1)
    x, y = places[inside].T
    return Catalogue(x, y, np.full(len(x), 19.0), np.ones(len(x), bool), SHAPE, np.array(list(defects), DEFECT))


def scattered(rng, number):
    """Places in a field and its margin, independent of each other, as many as a field of `number` sources has."""
    wide = SIDE + 2 * MARGIN
    return rng.uniform(-MARGIN, SIDE + MARGIN, (rng.poisson(number * wide.prod() / SIDE.prod()), 2))


def grouped(rng, share, mean, radius_px):
    """Places of which a share is in groups of a mean number and a radius."""
    centres = np.repeat(parents := scattered(rng, NUMBER * share / mean), rng.poisson(mean, len(parents)), axis=0)
    return np.concatenate(
        [centres + radius_px * rng.standard_normal(centres.shape), scattered(rng, NUMBER * (1 - share))]
    )


def test_places_that_are_independent_show_no_correlation_even_around_hidden_areas():
    rng = np.random.default_rng(0)
    fields = [field(scattered(rng, NUMBER), [HALO]) for _ in range(12)]
    w, error, pairs = correlation(fields, "galaxies", EDGES_PX)

    assert (np.abs(w) < 3.5 * np.maximum(error, 1 / np.sqrt(pairs))).all()
    assert np.abs(w[-3:]).max() < 0.05
    for cell_px in (64, 128):
        value, error = dispersion(fields, "galaxies", cell_px)
        assert value == pytest.approx(1, abs=3 * error)
        assert error < 0.1


def test_groups_that_are_planted_are_found():
    rng = np.random.default_rng(1)
    fields = [field(grouped(rng, 0.4, 5.0, 40.0)) for _ in range(40)]
    w, error, _ = correlation(fields, "galaxies", EDGES_PX)
    (near, near_px, wide, wide_px), _, chi2 = fit_groups(EDGES_PX, w, error)
    density = sum(len(of_field.x) for of_field in fields) / (len(fields) * SIDE.prod())
    value, spread = dispersion(fields, "galaxies", 128)

    assert (near + wide) * density == pytest.approx(0.4 * 5.0, rel=0.3)
    assert max((near, near_px), (wide, wide_px))[1] == pytest.approx(40, rel=0.2)
    assert chi2 < 20
    assert value > 1 + 5 * spread


def test_a_catalogue_in_a_file_is_as_one_in_memory(tmp_path):
    path = tmp_path / "plane.csv"
    path.write_text("x,y,class,mag_r\n10,20,star,19.5\n30,40,galaxy,20.4\n50,60,galaxy,20.6\n")
    found = of_csv(path, SHAPE)

    assert found.places("stars").tolist() == [[10, 20]]
    assert found.places("galaxies").tolist() == [[30, 40]]


def test_planes_of_a_process_are_fields_of_its_own_truth():
    fields = of_planes(Path(__file__).parents[2] / "bundles/r64/scene", 20, SHAPE, (0.7, 0.5))
    area = SIDE.prod() * ARCMIN2_A_PX

    assert [field.shape for field in fields] == [SHAPE] * 20
    for kind, density in (("stars", 0.7), ("galaxies", 0.5)):
        numbers = np.array([len(field.places(kind)) for field in fields])
        assert numbers.mean() == pytest.approx(density * area, rel=0.15)
        assert len(set(numbers)) > 5
    assert all(((field.x < SIDE[0] - 0.5) & (field.mag < 20.5)).all() for field in fields)
