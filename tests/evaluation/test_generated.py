import numpy as np
import pytest

from skygen.bundle.bundle import Bundle
from skygen.evaluation import generated
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.sky.conditions import BandConditions
from skygen.sky.noise import sky_noise

LEVELS = {"94-1-1/left": 0.02, "1035-1-1/right": 0.1}


@pytest.fixture
def store(tmp_path, write_fields):
    """Two readouts whose noise differs by five times."""
    conditions = {
        name: [BandConditions(sky_noise_nmgy=level, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)]
        for name, level in LEVELS.items()
    }
    tiles = {field: np.zeros((4, 1, 64, 64), np.float32) for field in LEVELS}
    splits = {"train": tiles, "validation": tiles, "test": tiles}
    return write_fields(tmp_path / "r64", "r", splits, conditions=conditions)


@pytest.fixture
def bundle_of(tmp_path, write_bundle):
    def load(recipe, **changes) -> Bundle:
        write_bundle(tmp_path / recipe, 3, recipe, **changes)
        return Bundle.load(tmp_path / recipe)

    return load


@pytest.mark.parametrize("recipe", ["gan", "scene"])
def test_tiles_are_those_that_serving_draws_however_large_the_slices(store, bundle_of, monkeypatch, recipe):
    bundle, fields = bundle_of(recipe), [*LEVELS, *reversed(LEVELS), "94-1-1/left"]
    conditions = None if recipe == "gan" else [store.card.conditions[field] for field in fields]
    monkeypatch.setattr(generated, "_SLICE", 2)

    tiles = generated_tiles(bundle, store, fields, 17)
    np.testing.assert_array_equal(tiles, bundle.generate(17, 5, conditions=conditions))


def test_scenes_are_seen_under_the_noise_of_their_fields_or_without_any(store, bundle_of):
    bundle = bundle_of("scene")
    fields = [*LEVELS] * 8
    clean = generated_tiles(bundle, store, fields, 17, "none")
    levels = sky_noise(generated_tiles(bundle, store, fields, 17) - clean)[:, 0]

    np.testing.assert_allclose(levels, [LEVELS[field] for field in fields], rtol=0.3)  # and the noise of their photons
    np.testing.assert_array_equal(clean, generated_tiles(bundle, store, fields, 17, "none"))


def test_each_split_and_each_evaluation_has_a_seed_of_its_own():
    seeds = [tiles_seed(split, seed) for split in ("validation", "test") for seed in range(50)]

    assert len(set(seeds)) == 100
    assert 0 <= tiles_seed("test", 2**63 - 1) < 2**63


def test_a_bundle_of_other_tiles_is_refused(store, bundle_of):
    with pytest.raises(ValueError, match=r"tiles of 128 px in \['r'\], .*r64 holds 64 px"):
        generated_tiles(bundle_of("gan", size=128), store, ["94-1-1/left"], 17)
    with pytest.raises(ValueError, match=r"64 px in \['g', 'r', 'i'\]"):
        generated_tiles(bundle_of("improved", bands=("g", "r", "i")), store, ["94-1-1/left"], 17)
