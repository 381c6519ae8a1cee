"""The bundles that ship with the project, by which `make serve` works before any training."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.bundles import ServedBundles
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, row
from skygen.measure import diversity, sources
from skygen.measure.medians import middle_mean
from skygen.params import Params
from skygen.sky.noise import sky_noise

SHIPPED = Path(__file__).parents[2] / "bundles"
MOST_BYTES = 500_000
TILES = 64

pytestmark = pytest.mark.skipif(not SHIPPED.is_dir(), reason="no bundles are in the tree")


@pytest.fixture(scope="module", params=["r64", "gri128"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """The shipped bundle of a tile set."""
    return Bundle.load(SHIPPED / request.param / "scene")


def test_every_tile_set_has_a_scene_for_its_champion(params: Params) -> None:
    catalogue = ServedBundles.load(SHIPPED, torch.device("cpu"))

    assert catalogue.champions == dict.fromkeys(params.judged, "scene")


def test_a_bundle_is_small_and_its_weights_are_float32(bundle: Bundle) -> None:
    folder = SHIPPED / bundle.card.tiles / "scene"

    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    header = (folder / "generator.safetensors").read_bytes()[:20_000]
    assert set(re.findall(rb'"dtype":"(\w+)"', header)) == {b"F32"}


def test_the_card_says_where_the_bundle_comes_from(bundle: Bundle, params: Params) -> None:
    card = bundle.card

    assert (card.recipe, card.bands) == ("scene", params.tiles[card.tiles].bands)
    assert re.fullmatch("[0-9a-f]{40}", card.commit)
    assert re.fullmatch("[0-9a-f]{64}", card.data_hash)
    assert card.conditions
    assert card.densities
    assert bundle.takes["sky"]
    assert card.versions["torch"]
    assert {"validation_score", "validation_diversity"} <= set(card.validation)


def test_its_tiles_differ_hold_sources_and_the_noise_of_their_conditions(bundle: Bundle) -> None:
    tiles, scenes = (bundle.generate(2026, TILES, noise=noise) for noise in ("survey", "none"))
    observed = bundle.conditions_of(row(2026, TILES))

    assert np.isfinite(tiles).all()
    assert len({tile.tobytes() for tile in scenes}) == TILES
    spread, noisy = (diversity.summarise(diversity.describe(flux), np.ones(TILES)) for flux in (scenes, tiles))
    assert spread > 0.3 * noisy
    found = sources.describe(tiles, bundle.card.bands).number.mean() * (64 / bundle.card.size) ** 2
    assert 0.3 < found < 5
    assert observed is not None
    ratio = sky_noise(tiles) / observed.sky_noise_nmgy.numpy()
    for band in ratio.T:
        assert middle_mean(band, np.ones(TILES)) == pytest.approx(1, abs=0.05)


def test_a_tile_is_the_same_beside_any_others(bundle: Bundle) -> None:
    rng = np.random.default_rng(6)
    for _ in range(12):
        seeds, places = rng.integers(2**62, size=8), rng.integers(1000, size=8)
        tiles = [Tile(int(seed), int(index)) for seed, index in zip(seeds, places, strict=True)]
        together, first = bundle.draw(tiles), int(rng.integers(6))
        assert bundle.draw(tiles[first : first + 3]).tobytes() == together[first : first + 3].tobytes()
        assert bundle.draw(tiles[first : first + 1]).tobytes() == together[first : first + 1].tobytes()
