from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines import train
from skygen.gan.dropout import discard
from skygen.sky.conditions import BandConditions
from skygen.sky.readout import HALVES
from skygen.tiles.store import TileSplit
from skygen.training.batches import Batches, iteration_rng
from skygen.training.distributed import ALONE, Team
from skygen.training.state import new_state

CPU = torch.device("cpu")


@pytest.fixture(params=["gan", "ambient", "scene", "relativistic with a gradient penalty"])
def recipe(recipes, relativistic, request):
    return recipes.get(request.param) or relativistic.model_copy(update={"penalty": "gradient_penalty"})


@pytest.fixture
def drawn(noise_store):
    """A function: the draws of a batch of 12 for one process of a team."""

    def draw(recipe, team=ALONE, seed=1, real=True, store=noise_store, batch=12):
        batches = Batches(
            recipe, store, replace(new_state(recipe, store.card, 2, 0, CPU).players, team=team), batch, CPU
        )
        return batches.draw(torch.Generator().manual_seed(seed), real)

    return draw


def parts(draws):
    """The tensors of draws, those of the sky and of scattered objects among them, whose tiles count from 0."""
    sky = [] if draws.sky is None else [*draws.sky.conditions[:5], draws.sky.draws]
    latents = (
        [draws.latents]
        if isinstance(draws.latents, torch.Tensor)
        else [*draws.latents.stars[1:], *draws.latents.galaxies[1:], draws.latents.offset_px]
    )
    return [part for part in (draws.real, *latents, draws.mix, *sky) if part is not None]


def test_the_draws_are_what_the_recipe_s_update_needs(recipes, drawn):
    gan, scene = drawn(recipes["gan"]), drawn(recipes["scene"], real=False)

    assert (gan.real.shape, gan.latents.shape, gan.sky, gan.mix) == ((12, 3, 64, 64), (12, 100), None, None)
    assert (scene.real, scene.sky.draws.shape, scene.mix) == (None, (12, 3, 64, 64), None)
    assert [part.shape for part in scene.sky.conditions[:5]] == [*[(12, 3)] * 4, (12, 2)]
    assert scene.latents.offset_px.shape == (12, 3, 2)
    assert torch.equal(scene.latents.psf_fwhm_px, scene.sky.conditions.psf_fwhm_px)
    assert set(scene.latents.galaxies.tile.tolist()) == set(range(12))


def test_the_real_tiles_are_the_store_s_as_the_stretch_shows_them(recipes, drawn, noise_store):
    stretch = noise_store.card.stretch
    stored = stretch.stretch(torch.from_numpy(noise_store.split("train").array())).sum((1, 2, 3))
    real = drawn(recipes["gan"]).real.sum((1, 2, 3))  # turning and mirroring leave the sum

    assert (real[:, None] - stored).abs().min(1).values.max() < 1e-3
    assert len(real.unique()) > 6


def test_the_same_numbers_give_the_same_draws_and_others_others(recipe, drawn):
    first, again, other = (parts(drawn(recipe, seed=seed)) for seed in (1, 1, 2))

    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first[:2], other[:2], strict=True))


def test_the_shares_of_a_team_make_the_batch_of_one_alone(recipe, drawn):
    whole = parts(drawn(recipe))
    shares = [parts(drawn(recipe, Team(rank, 3))) for rank in range(3)]

    for of_whole, *of_shares in zip(whole, *shares, strict=True):
        assert torch.equal(of_whole, torch.cat(of_shares))


def test_each_of_a_team_reads_its_own_tiles_alone(recipes, drawn, monkeypatch):
    read, batch = [], TileSplit.batch
    monkeypatch.setattr(TileSplit, "batch", lambda self, indices: read.append(list(indices)) or batch(self, indices))
    drawn(recipes["scene"])
    for rank in range(2):
        drawn(recipes["scene"], Team(rank, 2))
    whole, first, second = read

    assert (len(first), len(second), first + second) == (6, 6, whole)


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(recipes, drawn):
    with pytest.raises(ValueError, match="a batch of 12 over 5 processes"):
        drawn(recipes["scene"], Team(0, 5))


def test_conditions_are_those_of_training_tiles_as_often_as_their_readouts_have_tiles(
    recipes, drawn, tmp_path, write_fields
):
    tiles = {"train": {"94-1-1/left": 30, "94-1-1/right": 10}, "validation": {"94-1-3": 10}, "test": {"94-1-4": 10}}
    flux = {split: {name: np.zeros((n, 2, 64, 64)) for name, n in of.items()} for split, of in tiles.items()}
    conditions = {
        name: [BandConditions(sky_noise_nmgy=level, nmgy_per_electron=0.1 * level, psf_fwhm_arcsec=1.188)] * 2
        for level, name in enumerate(("94-1-1/left", "94-1-1/right", "94-1-3", "94-1-4"), 1)
    }
    store = write_fields(tmp_path / "fields", "gr", flux, conditions=conditions)
    observed = drawn(recipes["scene"], store=store, batch=1200).sky.conditions

    assert set(observed.sky_noise_nmgy.flatten().tolist()) == {1.0, 2.0}
    # 900 of 1200 are expected of the first; the binomial's standard deviation is 15.
    assert (observed.sky_noise_nmgy[:, 0] == 1).sum() == pytest.approx(900, abs=75)
    torch.testing.assert_close(observed.nmgy_per_electron, 0.1 * observed.sky_noise_nmgy)
    torch.testing.assert_close(observed.psf_fwhm_px, torch.full((1200, 2), 3.0))


def test_a_bundle_carries_the_conditions_of_both_halves_of_so_many_training_fields(tmp_path, write_fields, monkeypatch):
    monkeypatch.setattr(train, "MOST_FIELDS", 3)
    tile = np.zeros((1, 1, 8, 8))
    names = [f"94-1-{number}/{half}" for number in range(6) for half in HALVES]
    splits = {"train": dict.fromkeys(names, tile), "validation": {"94-2-1": tile}, "test": {"94-2-2": tile}}
    card = write_fields(tmp_path / "fields", "r", splits).card

    assert train._readouts(card) == [f"94-1-{number}/{half}" for number in (0, 2, 4) for half in HALVES]


def test_the_noise_is_standard_normal(recipes, drawn):
    noise = drawn(recipes["scene"]).sky.draws

    # Of n = 147456 draws; five standard errors.
    assert abs(float(noise.mean())) < 5 / noise.numel() ** 0.5
    assert abs(float(noise.var()) - 1) < 5 * (2 / noise.numel()) ** 0.5


def test_an_iteration_s_draws_are_by_seed_and_images_seen_alone_and_alike_for_all_of_a_team():
    def numbers(*key):
        return torch.rand(4, generator=iteration_rng(*key)).tolist()

    assert numbers(0, 32) == numbers(0, 32, 1) == numbers(0, 32, 2)
    assert len({tuple(numbers(*key)) for key in ((0, 32), (1, 32), (0, 64), (32, 0))}) == 4


def test_dropout_is_by_seed_images_seen_and_rank_alone():
    def dropped(*key):
        iteration_rng(*key)
        return tuple(discard(torch.ones(64), 0.5).tolist())

    assert dropped(0, 32, 1) == dropped(0, 32, 1)
    assert len({dropped(*key) for key in ((0, 32, 0), (0, 32, 1), (1, 32, 0), (0, 64, 0))}) == 4


def test_dropout_s_numbers_are_not_those_of_the_draws():
    rng = iteration_rng(0, 32)

    assert torch.rand(4).tolist() != torch.rand(4, generator=rng).tolist()
