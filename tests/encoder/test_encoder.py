"""A tiny encoder, trained on tiles of noise and stars: what it promises of bits, symmetry, damage, and what it sees."""

import shutil

import numpy as np
import pytest
import torch

from skygen.encoder import training
from skygen.encoder.alterations import planted, sample_of
from skygen.encoder.network import CARD, HISTORY, WEIGHTS, Encoder, EncoderError, load_encoder
from skygen.encoder.training import make_examples, train_encoder
from skygen.evaluation.halvings import halvings
from skygen.files import read_json, write_json
from skygen.measure import frechet, kernel
from skygen.params import EncoderParams, EncoderTraining
from skygen.tiles.store import SPLITS

SIZE, FWHM_PX = 32, 1.3 / 0.396
TRAINING = EncoderTraining(train_a_field=240, iterations=150, batch=32, width=6)
PARAMS = EncoderParams(fields=3, seed=0, features=8, lr=3e-3, sets={"r32": TRAINING})


def make_tiles(count, seed, noise_nmgy=(0.02, 0.04)):
    """Tiles [N, 1, 32, 32] of noise, not equally loud, with one or two stars of all fluxes."""
    rng = np.random.default_rng(seed)
    tiles = rng.normal(0, 1, (count, 1, SIZE, SIZE)) * rng.uniform(*noise_nmgy, (count, 1, 1, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    sigma = FWHM_PX / 2.355
    for row in range(count):
        for x, y, flux in rng.uniform((6, 6, 0.5), (26, 26, 2.0), (rng.integers(1, 3), 3)):
            profile = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
            tiles[row] += 10**flux * profile
    return tiles.astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_fields):
    tiles = {"train": {"94-1-1": make_tiles(240, 0)}, "validation": {"94-1-2": make_tiles(8, 1)}}
    return write_fields(tmp_path_factory.mktemp("store") / "r32", "r", {**tiles, "test": {"94-1-3": make_tiles(8, 2)}})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store):
    folder = tmp_path_factory.mktemp("encoder")
    return folder, train_encoder(folder, store, PARAMS, TRAINING)


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the trained encoder's folder, to be damaged."""
    for path in trained[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_the_same_training_gives_the_same_bits_and_another_seed_others(tmp_path, store, trained):
    brief = TRAINING.model_copy(update={"iterations": 12})
    seeds = {"once": 0, "again": 0, "other": 1}
    found = {}
    for name, seed in seeds.items():
        (tmp_path / name).mkdir()
        found[name] = train_encoder(tmp_path / name, store, PARAMS.model_copy(update={"seed": seed}), brief)

    assert found["once"].sha256 == found["again"].sha256
    assert (tmp_path / "once" / HISTORY).read_bytes() == (tmp_path / "again" / HISTORY).read_bytes()
    assert len({found["once"].sha256, found["other"].sha256, trained[1].sha256}) == 3


def test_the_hash_is_of_weights_and_card_alone(folder, trained):
    (folder / HISTORY).unlink()
    assert Encoder.load(folder).sha256 == trained[1].sha256

    card = read_json(folder / CARD)
    write_json(folder / CARD, {**card, "seed": 5})
    assert Encoder.load(folder).sha256 != trained[1].sha256


def test_turned_and_mirrored_tiles_have_the_same_features(trained):
    tiles = make_tiles(5, 3)
    features = trained[1].encode(tiles)

    for mirrored in (tiles, tiles[..., ::-1]):
        for quarters in range(4):
            turned = np.rot90(mirrored, quarters, (-2, -1))
            np.testing.assert_allclose(trained[1].encode(turned), features, atol=2e-4)
    assert np.ptp(features, axis=0).min() > 0.01  # so that invariance is not that of a constant


def test_a_tile_has_the_same_bits_in_any_batch(trained):
    tiles = make_tiles(23, 4)
    features = trained[1].encode(tiles)
    order = np.random.default_rng(0).permutation(23)

    assert features.dtype == np.float32
    np.testing.assert_array_equal(trained[1].encode(tiles[order]), features[order])
    np.testing.assert_array_equal(np.concatenate([trained[1].encode(tile[None]) for tile in tiles]), features)


def test_training_tiles_have_white_features(store, trained):
    features = trained[1].encode(store.split("train").array())

    np.testing.assert_allclose(features.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(features.T), np.eye(8), atol=0.1)


def test_it_learns(trained):
    errors = [row["error"] for row in read_json(trained[0] / HISTORY)]

    assert np.mean(errors[-3:]) < 0.6 * errors[0]
    assert read_json(trained[0] / HISTORY)[-1]["images_seen"] == TRAINING.iterations * TRAINING.batch


def test_planted_alterations_move_both_distances_the_more_the_larger_they_are(trained):
    tiles = make_tiles(200, 5)
    sample = sample_of(tiles, np.full((200, 1), FWHM_PX))
    weights = halvings(["94-1-2"] * 200, 12, (0,))
    real = trained[1].encode(tiles)

    for name in ("quieter_noise", "wider_psf", "fewer_sources", "checkerboard"):
        alteration = planted(1)[name]
        sizes = [times * alteration.size for times in (0.25, 0.5, 1.0, 2.0)]
        altered = [alteration.alter(sample, size, np.random.default_rng(0)).numpy() for size in sizes]
        for key, relate in (("frechet", frechet.relate), ("kernel", kernel.relate)):
            before = relate(real, real)(*weights)[key]
            rises = [relate(trained[1].encode(flux), real)(*weights)[key] - before for flux in altered]
            means = [rise.mean() for rise in rises]
            assert means == sorted(means), f"{name} in {key}: {means}"
            assert (rises[-1] > 0).all(), f"{name} in {key}"


def test_altered_examples_are_told_as_they_are(store):
    examples = make_examples(store, 32, PARAMS)

    assert examples.altered.reshape(2, -1).sum(1).tolist() == [32, 32]
    assert len(examples.tiles) == len(examples.measured) == 96
    psf = examples.measured[:, training.properties.names("r").index("psf.r")]
    assert np.ptp(psf[~examples.altered]) == 0
    assert (psf >= psf[~examples.altered][0]).all()


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    with pytest.raises(EncoderError, match=rf"{name}: missing; take it from git again, or train it with `make enc"):
        Encoder.load(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_damaged_file_is_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])

    with pytest.raises(EncoderError, match=rf"{name}.*make encoders"):
        Encoder.load(folder)


@pytest.mark.parametrize(
    ("change", "message"), [({"width": 7}, WEIGHTS), ({"unknown": 1}, "unknown key"), ({"size": 0}, "size = 0")]
)
def test_a_card_that_does_not_fit_is_refused(folder, change, message):
    write_json(folder / CARD, {**read_json(folder / CARD), **change})

    with pytest.raises(EncoderError, match=message):
        Encoder.load(folder)


def test_the_card_says_what_it_was_trained_on(store, trained):
    card = trained[1].card

    assert (card.tiles, card.size, card.bands, card.seed) == ("r32", SIZE, ["r"], PARAMS.seed)
    assert (card.train_fields, card.train_tiles, card.data_hash) == (["94-1-1"], 240, store.card.data_hash)


def test_a_store_gets_the_encoder_of_its_set_whatever_its_tiles(tmp_path, trained, write_fields):
    shutil.copytree(trained[0], tmp_path / "encoders/r32")
    tiles = {split: {f"94-1-{row}": make_tiles(9, row)} for row, split in enumerate(SPLITS)}
    other = write_fields(tmp_path / "r32", "r", tiles)

    assert load_encoder(other, torch.device("cpu"), tmp_path / "encoders").sha256 == trained[1].sha256


@pytest.mark.parametrize(
    ("bands", "size", "message"),
    [("r", 64, r"encoders/r32 is for tiles of 32 px in r, those in .*r32 have 64 px in r"), ("gr", 32, "32 px in gr")],
)
def test_an_encoder_for_tiles_of_another_kind_is_refused_with_what_to_do(
    tmp_path, trained, write_fields, bands, size, message
):
    shutil.copytree(trained[0], tmp_path / "encoders/r32")
    flux = np.zeros((1, len(bands), size, size), np.float32)
    other = write_fields(tmp_path / "r32", bands, {split: {f"94-1-{row}": flux} for row, split in enumerate(SPLITS)})

    with pytest.raises(ValueError, match=rf"{message}: run `make encoders SETS=r32`"):
        load_encoder(other, torch.device("cpu"), tmp_path / "encoders")


def test_a_set_without_an_encoder_names_the_command(store, tmp_path):
    with pytest.raises(ValueError, match=rf"encoders/r32/{WEIGHTS}: missing; .*make encoders"):
        load_encoder(store, torch.device("cpu"), tmp_path / "encoders")


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 64, 64), (1, 32, 32)])
def test_tiles_of_other_bands_or_size_are_refused(trained, shape):
    with pytest.raises(EncoderError, match=r"bands r and 32 px: use the encoder of these tiles' own set"):
        trained[1].encode(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_tiles_that_are_not_finite_are_refused(trained, value):
    tiles = make_tiles(2, 0)
    tiles[1, 0, 3, 3] = value

    with pytest.raises(EncoderError, match="NaN or infinity"):
        trained[1].encode(tiles)


def test_no_tiles_have_no_features_and_a_flat_tile_has_some(trained):
    assert trained[1].encode(np.zeros((0, 1, 32, 32), np.float32)).shape == (0, 8)
    assert np.isfinite(trained[1].encode(np.zeros((1, 1, 32, 32), np.float32))).all()


def test_one_training_tile_is_too_few(tmp_path, write_fields):
    tiles = {
        split: {f"94-1-{number}": make_tiles(1, 0)} for number, split in enumerate(("train", "validation", "test"))
    }

    with pytest.raises(ValueError, match="1 training tiles; an encoder needs at least 2"):
        make_examples(write_fields(tmp_path / "r32", "r", tiles), 10, PARAMS)


def test_a_diverging_training_says_so(store, monkeypatch, tmp_path):
    monkeypatch.setattr(
        torch.nn.Linear, "forward", lambda self, x: x.sum() * torch.full((len(x), self.out_features), torch.nan)
    )

    with pytest.raises(ValueError, match=r"diverged after 1 iterations; lower encoder\.lr"):
        train_encoder(tmp_path, store, PARAMS, TRAINING.model_copy(update={"iterations": 3}))
