import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from skygen.bundle import bundle
from skygen.bundle.bundle import Bundle, PaintedError
from skygen.bundle.tile import row
from skygen.files import read_json, sha256_folder, write_json
from skygen.gan.card import CARD, WEIGHTS, BundleError, Card, load_discriminator, save_weights
from skygen.gan.latents import latents_of
from skygen.gan.networks import Discriminator, Generator
from skygen.params import ParamsError, validate
from skygen.sky.stretch import Stretch


@pytest.fixture(scope="module", params=["gan", "ambient", "scene"])
def folder(request, tmp_path_factory, write_bundle):
    """A bundle that paints tiles, one that paints scenes, and one that cuts tiles from skies."""
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, recipe=request.param)
    return folder


@pytest.fixture
def spoiled(tmp_path, write_bundle):
    """A bundle's folder that a test may damage."""
    write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("recipe", ["gan", "scene"])
def test_a_bundle_comes_back(tmp_path, write_bundle, recipe):
    card = write_bundle(tmp_path / "bundle", 0, recipe, 128, ["g", "r", "i"], tiles="gri128")
    loaded = Bundle.load(tmp_path / "bundle")

    assert loaded.card == card
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == [CARD, WEIGHTS]
    flux = loaded.generate(0, 2)
    assert (flux.shape, flux.dtype) == ((2, 3, 128, 128), np.float32)


def test_tiles_are_the_generator_s_in_flux(tmp_path, write_bundle):
    card = write_bundle(tmp_path / "bundle", seed=3, latents="uniform", limit_nmgy=50.0)
    generator = Generator(card.generator)
    generator.load_state_dict(load_file(tmp_path / "bundle" / WEIGHTS))
    with torch.no_grad():
        expected = Stretch(0.2, 50.0).unstretch(generator.eval()(latents_of("uniform", 10, 5, range(3)))).numpy()

    assert card.latents == "uniform"
    assert Bundle.load(tmp_path / "bundle").generate(5, 3) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_scenes_that_a_generator_paints_get_the_noise_of_their_field(tmp_path, write_bundle):
    card = write_bundle(tmp_path, recipe="ambient")
    painted = Bundle.load(tmp_path)
    scenes, tiles = (painted.generate(5, 200, noise=noise) for noise in ("none", "survey"))
    conditions = painted.conditions_of(row(5, 200))

    assert len(card.conditions) == 2
    assert np.array_equal(scenes, painted.generate(5, 200, noise="none"))
    expected = (conditions.sky_noise_nmgy[:, 0, None, None].numpy() ** 2).mean()
    variance = ((tiles - scenes - conditions.sky_level_nmgy[..., None, None].numpy()) ** 2).mean()
    assert variance > 0.98 * expected  # that of the sky, and the photons' of what is painted
    twice = painted.generate(5, 1, noise=2 * float(conditions.sky_noise_nmgy[0, 0])) - scenes[:1]
    np.testing.assert_allclose(twice - 2 * (tiles[:1] - scenes[:1]), -conditions.sky_level_nmgy[0, 0], atol=1e-5)
    with pytest.raises(PaintedError, match="recipe ambient paints its seeing"):
        painted.generate(5, 1, seeing=1.2)


def test_flux_stays_within_the_limit(tmp_path, write_bundle):
    write_bundle(tmp_path)
    flux = Bundle.load(tmp_path).generate(0, 8)

    assert np.abs(flux).max() <= 100.001
    assert np.ptp(flux) > 0


@pytest.mark.parametrize("n", [1, 8, 40])
def test_a_tile_has_the_same_bytes_whatever_is_asked_beside_it(folder, n):
    loaded = Bundle.load(folder)
    alone = [loaded.generate(7, 1, first=index).tobytes() for index in range(n)]

    assert [tile.tobytes() for tile in loaded.generate(7, n)] == alone
    assert len(set(alone)) == n


@given(st.integers(0, 2**63 - 1), st.integers(0, 100), st.integers(1, 5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_first_tile_may_be_any(folder, seed, first, n):
    loaded = Bundle.load(folder)

    assert loaded.generate(seed, n, first).tobytes() == loaded.generate(seed, first + n)[first:].tobytes()


def test_threads_do_not_change_a_byte(folder):
    torch.set_num_threads(1)
    one = Bundle.load(folder).generate(1, 40)
    torch.set_num_threads(2)
    try:
        two = Bundle.load(folder).generate(1, 40)
    finally:
        torch.set_num_threads(1)

    assert one.tobytes() == two.tobytes()


def test_the_seed_makes_the_tiles(folder):
    first, again = Bundle.load(folder), Bundle.load(folder)
    assert first.generate(2**63 - 1, 3).tobytes() == again.generate(2**63 - 1, 3).tobytes()
    assert first.generate(2**63 - 1, 3).tobytes() != first.generate(2**63 - 2, 3).tobytes()


def test_drawing_leaves_torch_s_randomness_and_its_own_weights_alone(folder):
    loaded = Bundle.load(folder)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    before = loaded.generate(0, 2).tobytes()

    assert torch.equal(torch.rand(3), expected)
    loaded.generate(99, 40)
    assert loaded.generate(0, 2).tobytes() == before


def test_the_hash_names_weights_and_card(tmp_path, write_bundle):
    write_bundle(tmp_path / "first")
    write_bundle(tmp_path / "same")
    write_bundle(tmp_path / "seed", seed=1)
    write_bundle(tmp_path / "card", commit="another")
    hashes = [Bundle.load(tmp_path / name).sha256 for name in ("same", "seed", "card")]

    assert hashes[0] == Bundle.load(tmp_path / "first").sha256 == sha256_folder(tmp_path / "first")
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_is_named(spoiled, name):
    (spoiled / name).unlink()

    with pytest.raises(BundleError, match=rf"{name}: missing; a bundle holds"):
        Bundle.load(spoiled)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
@pytest.mark.parametrize("spoil", [lambda raw: raw[:-20], lambda raw: b"", lambda raw: b"\xff\xff" + raw])
def test_a_damaged_file_is_named(spoiled, name, spoil):
    (spoiled / name).write_bytes(spoil((spoiled / name).read_bytes()))

    with pytest.raises(BundleError, match=name) as caught:
        Bundle.load(spoiled)
    assert "train it anew, or copy it again from where it was made" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("generator.width", 3, WEIGHTS),  # the weights do not fit
        ("generator.latent_size", 11, WEIGHTS),
        ("generator.bands", 2, WEIGHTS),
        ("generator.last", "sine", "last = 'sine'"),
        ("generator.kind", "cellular", "cellular"),
        ("conditions", [[{"sky_noise_nmgy": 0.0}]], "sky_noise_nmgy"),
        ("latents", "cauchy", "latents = 'cauchy'"),
        ("limit_nmgy", "100", "limit_nmgy = '100'"),
        ("colour", "blue", "colour: unknown key"),
        ("size", 100, "size"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(spoiled, key, value, words):
    card = read_json(spoiled / CARD)
    section = card["generator"] if key.startswith("generator.") else card
    section[key.removeprefix("generator.")] = value
    write_json(spoiled / CARD, card)

    with pytest.raises(BundleError, match=words):
        Bundle.load(spoiled)


def test_a_card_is_strict(write_bundle, tmp_path):
    values = write_bundle(tmp_path / "bundle").model_dump()

    assert validate(Card, values, "card") == Card(**values)
    with pytest.raises(ParamsError, match="card: seed: missing"):
        validate(Card, {key: value for key, value in values.items() if key != "seed"}, "card")


def test_the_discriminator_comes_back(tmp_path, write_bundle):
    card = write_bundle(tmp_path / "bundle", row={"logit_slope": 0.3})
    discriminator = Discriminator(64, 1, 2, "batch", 0.3)
    save_weights(tmp_path / "d.safetensors", discriminator.state_dict())
    loaded, tiles = load_discriminator(tmp_path / "d.safetensors", card), torch.randn(3, 1, 64, 64)

    assert loaded.logit_slope == 0.3
    assert torch.equal(loaded.eval()(tiles, 0.0), discriminator.eval()(tiles, 0.0))


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_a_discriminator_that_cannot_be_had_is_named(tmp_path, write_bundle, spoil):
    card, path = write_bundle(tmp_path / "bundle"), tmp_path / "d.safetensors"
    save_weights(path, Discriminator(64, 1, 2, "batch", 0.2).state_dict())
    spoil(path)

    with pytest.raises(BundleError, match=r"d\.safetensors: .*train it anew"):
        load_discriminator(path, card)


def test_mlflow_s_entry_draws_the_bundle_s_tiles(folder):
    model, loaded = bundle._load_pyfunc(str(folder)), Bundle.load(folder)

    assert np.array_equal(model.predict({"seed": [7], "n": [4]}), loaded.generate(7, 4))
    assert np.array_equal(model.predict({"seed": 7, "n": 4}), loaded.generate(7, 4))
    two = np.concatenate([loaded.generate(1, 2), loaded.generate(2**62, 1)])
    assert np.array_equal(model.predict({"seed": [1, 2**62], "n": [2, 1]}), two)


SCRIPT = """
import hashlib, os, sys
from pathlib import Path
from skygen.bundle.bundle import Bundle, PaintedError
from skygen.bundle.tile import row
for folder in sys.argv[1:]:
    if not os.fork():
        bundle = Bundle.load(Path(folder))
        print(*(hashlib.sha256(bundle.generate(7, n)[0].tobytes()).hexdigest() for n in (3, 1, 40)))
        break
    os.wait()
"""


def test_a_tile_is_the_same_in_new_processes_with_any_number_of_threads(write_bundle, tmp_path):
    """In a new process torch chooses its kernels by the first batch it sees and by the number of threads.

    Each bundle has a fork of a process in which torch has seen none.
    """
    folders = []
    for recipe, size, bands in (("gan", 64, "r"), ("scene", 64, "r"), ("scene", 128, "gri")):
        folders.append(tmp_path / f"{recipe}-{size}")
        write_bundle(folders[-1], recipe=recipe, size=size, bands=bands, width=8)
    found = []
    for threads in ("1", "2", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", SCRIPT, *map(str, folders)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append([line.split() for line in done.stdout.splitlines()])

    assert [len(of_one) for of_one in found] == [len(folders)] * 3
    for of_bundle in zip(*found, strict=True):
        assert len({tile for tiles in of_bundle for tile in tiles}) == 1
