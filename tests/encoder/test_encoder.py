"""A tiny encoder, trained on tiles of noise and stars: what it promises of bits, symmetry, damage, and what it sees."""

import numpy as np
import pytest
import torch

from benchmarks.encoder import halvings, rises
from pipelines import encoder as stage
from skygen.encoder import training
from skygen.encoder.alterations import planted, sample_of
from skygen.encoder.network import CARD, HISTORY, TRAIN_FEATURES, WEIGHTS, Encoder, EncoderError
from skygen.encoder.training import make_examples, train_encoder
from skygen.files import read_json, write_json
from skygen.params import EncoderParams, EncoderScale

SIZE, FWHM_PX = 32, 1.3 / 0.396
PARAMS = EncoderParams(features=8, lr=3e-3, seed=0)
SCALE = EncoderScale(iterations=150, batch=32, width=6)


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
    return folder, train_encoder(folder, store, PARAMS, SCALE)


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the trained encoder's folder, to be damaged."""
    for path in trained[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_the_same_training_gives_the_same_bits_and_another_seed_others(tmp_path, store, trained):
    brief = SCALE.model_copy(update={"iterations": 12})
    seeds = {"once": 0, "again": 0, "other": 1}
    found = {}
    for name, seed in seeds.items():
        (tmp_path / name).mkdir()
        found[name] = train_encoder(tmp_path / name, store, PARAMS.model_copy(update={"seed": seed}), brief)

    assert found["once"].sha256 == found["again"].sha256
    assert (tmp_path / "once" / TRAIN_FEATURES).read_bytes() == (tmp_path / "again" / TRAIN_FEATURES).read_bytes()
    assert len({found["once"].sha256, found["other"].sha256, trained[1].sha256}) == 3


def test_the_hash_is_of_weights_and_card_alone(folder, trained):
    (folder / TRAIN_FEATURES).unlink()
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


def test_training_tiles_have_white_features_which_lie_beside_the_encoder(store, trained):
    features = trained[1].train_features

    np.testing.assert_array_equal(features, trained[1].encode(store.split("train").array()))
    np.testing.assert_allclose(features.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(features.T), np.eye(8), atol=0.1)


def test_it_learns(trained):
    errors = [row["error"] for row in read_json(trained[0] / HISTORY)]

    assert np.mean(errors[-3:]) < 0.6 * errors[0]
    assert read_json(trained[0] / HISTORY)[-1]["images_seen"] == SCALE.iterations * SCALE.batch


def test_planted_alterations_move_both_distances_the_more_the_larger_they_are(trained):
    tiles = make_tiles(200, 5)
    sample = sample_of(tiles, np.full((200, 1), FWHM_PX))
    masks = halvings(["94-1-2"] * 200, 12)

    for name in ("quieter_noise", "wider_psf", "fewer_sources", "checkerboard"):
        for distance, row in rises(trained[1].encode, sample, planted(1)[name], masks).items():
            means = [rise.mean for rise in row.values()]
            assert means == sorted(means), f"{name} in {distance}: {means}"
            assert row[2.0].share == 1, f"{name} in {distance}"


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

    with pytest.raises(EncoderError, match=rf"{name}: missing; train it anew"):
        Encoder.load(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_damaged_file_is_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])

    with pytest.raises(EncoderError, match=rf"{name}.*train it anew"):
        Encoder.load(folder)


@pytest.mark.parametrize(
    ("change", "message"), [({"width": 7}, WEIGHTS), ({"unknown": 1}, "unknown key"), ({"size": 0}, "size = 0")]
)
def test_a_card_that_does_not_fit_is_refused(folder, change, message):
    write_json(folder / CARD, {**read_json(folder / CARD), **change})

    with pytest.raises(EncoderError, match=message):
        Encoder.load(folder)


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_damaged_train_features_are_refused_and_the_rest_serves(folder, damage):
    path = folder / TRAIN_FEATURES
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        np.save(path, np.zeros((2, 8), np.float32))
    encoder = Encoder.load(folder)

    with pytest.raises(EncoderError, match=rf"{TRAIN_FEATURES}.*train it anew"):
        _ = encoder.train_features
    assert encoder.encode(make_tiles(2, 0)).shape == (2, 8)


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


@pytest.fixture
def project(tmp_path, monkeypatch, params, write_fields):
    """A project's folder, made the current one, with few tiles of r64 and an encoder that takes no time."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    flux = rng.normal(0, 0.03, (3, 12, 1, 64, 64)).astype(np.float32)
    tiles = {split: {f"94-1-{row}": flux[row]} for row, split in enumerate(("train", "validation", "test"))}
    write_fields(tmp_path / "data/tiles/r64", "r", tiles)
    brief = EncoderScale(iterations=2, batch=4, width=2)
    laptop = params.scales["laptop"]
    scales = {**params.scales, "laptop": laptop.model_copy(update={"encoder": {"r64": brief, "gri128": brief}})}
    monkeypatch.setattr(stage, "load_or_end", lambda: params.model_copy(update={"scales": scales}))
    return tmp_path / "models/encoders/r64"


def test_the_stage_writes_a_whole_encoder(project, capsys):
    stage.main("r64")

    encoder = Encoder.load(project)
    assert {path.name for path in project.iterdir()} == {WEIGHTS, CARD, TRAIN_FEATURES, HISTORY}
    assert encoder.train_features.shape == (12, encoder.card.features)
    assert encoder.sha256 in capsys.readouterr().out


def test_a_stage_that_fails_leaves_the_encoder_that_was_there(project, monkeypatch):
    stage.main("r64")
    before = Encoder.load(project).sha256

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(training, "_write_features", fail)
    with pytest.raises(OSError, match="no space left"):
        stage.main("r64")
    assert Encoder.load(project).sha256 == before
    assert [path.name for path in project.parent.iterdir()] == ["r64"]


def test_a_diverging_training_says_so(store, monkeypatch, tmp_path):
    monkeypatch.setattr(
        torch.nn.Linear, "forward", lambda self, x: x.sum() * torch.full((len(x), self.out_features), torch.nan)
    )

    with pytest.raises(ValueError, match=r"diverged after 1 iterations; lower encoder\.lr"):
        train_encoder(tmp_path, store, PARAMS, SCALE.model_copy(update={"iterations": 3}))
