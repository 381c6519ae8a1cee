"""A process that is given the density of the field that it is compared with, on skies of which it is the truth."""

from types import SimpleNamespace

import numpy as np
import pytest

from skygen.bundle.bundle import Bundle
from skygen.evaluation.controls import held_out
from skygen.evaluation.own_density import densities_of_halves, own_density
from skygen.evaluation.scoring import describe
from skygen.measure.metric import Given
from skygen.measure.table import measures_of
from skygen.sky.conditions import Density
from skygen.tiles.store import TileStore

FIELDS = {"94-1-1": Density(stars=2.0, galaxies=1.0), "1035-1-1": Density(stars=8.0, galaxies=6.0)}
A_FIELD = 50  # tiles


def test_a_half_has_its_field_s_density_times_what_it_shows_of_all_sources():
    fields = ["b"] * 3 + ["a"] * 5  # not in the order of their names
    sources = np.array([1, 2, 9, 3, 1, 2, 0, 4])
    halves = np.array([[1, 0, 0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1, 1, 0.0]])
    own = {"a": Density(stars=1.0, galaxies=3.0), "b": Density(stars=10.0, galaxies=20.0)}

    found = densities_of_halves(own, fields, sources, halves)
    assert [density.stars for density in found] == pytest.approx([2.5, 5, 10, 1, 1, 0.5, 0.5, 1])
    assert [density.galaxies for density in found] == pytest.approx([5, 10, 20, 3, 3, 1.5, 1.5, 3])


def test_a_half_without_a_source_has_half_of_one():
    found = densities_of_halves(
        FIELDS, ["94-1-1"] * 4, np.array([0, 0, 3, 1]), np.array([[1, 1, 0, 0], [0, 0, 1, 1.0]])
    )

    assert [density.stars for density in found] == pytest.approx([0.5, 0.5, 4, 4])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, write_bundle) -> Bundle:
    folder = tmp_path_factory.mktemp("scene")
    write_bundle(folder, 3, "scene", require_source=False)
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory, bundle, write_fields) -> TileStore:
    """Tiles of the process itself in two fields, of few and of many objects, under the conditions of one readout."""
    of_field = {
        field: bundle.generate(
            seed, A_FIELD, conditions=bundle.card.conditions[:1] * A_FIELD, densities=[density] * A_FIELD
        )
        for seed, (field, density) in enumerate(FIELDS.items(), 100)
    }
    splits = dict.fromkeys(("train", "validation", "test"), of_field)
    conditions = dict.fromkeys(FIELDS, bundle.card.conditions[0])
    written = write_fields(tmp_path_factory.mktemp("own") / "r64", "r", splits, conditions=conditions)
    return TileStore(written.folder, written.card.model_copy(update={"densities": FIELDS}))


@pytest.fixture(scope="module")
def accuracy_of(encoder):
    """A function: the entry of a bundle on the test tiles of a store."""
    measures = measures_of(Given("r", encoder.encode, 0))
    needed = [measure for measure in measures if {"recall", "sources.number"} & {*measure.keys}]

    def of(bundle, store):
        real = describe(store.split("test").array(), needed)
        return own_density(bundle, store, held_out(store, "test", 0, 2), real, measures, 0)

    return of


def test_the_process_that_made_the_sky_is_as_good_as_real_tiles_of_each_field_s_density(accuracy_of, bundle, store):
    found = accuracy_of(bundle, store)

    assert list(found) == ["value", "interval", "real_10th_percentile", "reached"]
    assert found["reached"]
    assert found["interval"][0] <= found["value"] <= found["interval"][1]
    assert 0.85 < found["real_10th_percentile"] < 1


def test_with_the_density_of_another_field_it_is_not(accuracy_of, bundle, store):
    card = store.card.model_copy(update={"densities": dict.fromkeys(FIELDS, FIELDS["94-1-1"])})

    assert not accuracy_of(bundle, TileStore(store.folder, card))["reached"]


def test_a_half_is_never_compared_with_itself(accuracy_of, store):
    """Copies of the real tiles would be found in every ball of their own half."""
    tiles = store.split("test").array()
    copies = SimpleNamespace(
        card=SimpleNamespace(size=64, bands=["r"], conditions=[]),
        generate=lambda seed, n, first, noise, conditions, densities: tiles[np.arange(first, first + n) % len(tiles)],
    )

    assert accuracy_of(copies, store)["interval"][0] < 1
