"""The champion rule on tiles that are known to be good or bad: the survey's own, one repeated, and noise alone.

The tiles are of the simulated survey; `plant` makes them.
"""

import hashlib
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from skygen.encoder.network import load_encoder
from skygen.evaluation.controls import collapse
from skygen.evaluation.halvings import interval
from skygen.params import ChampionParams
from skygen.selection.challenge import Scores, ValidationTiles
from skygen.selection.comparison import flaws
from skygen.sky.noise import sky_noise
from skygen.tiles.store import TileStore
from tests.selection.plant import COUNT, PLANTED

GATES = ChampionParams(least_diversity=0.3, most_memorised=0.9, sky_noise=[0.9, 1.1])


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory, write_fields: Callable[..., TileStore]) -> dict[str, Scores]:
    """What each set is like beside the real tiles, as candidates for the registry are measured."""
    with np.load(PLANTED) as planted:
        tiles = {name: planted[name].astype(np.float32) for name in ("real", "copy", "others")}
    real = tiles.pop("real")
    noise = sky_noise(real).mean() * np.random.default_rng(0).normal(0, 1, real.shape)
    tiles |= {"noise": noise.astype(np.float32)}
    tiles |= {f"repeated {number}": np.array(collapse(real[number], COUNT)) for number in range(0, COUNT, 6)}
    splits = {"train": {"2-1-1": real[:2]}, "validation": {"1-1-1": real}, "test": {"3-1-1": real[:2]}}
    store = write_fields(tmp_path_factory.mktemp("planted") / "r64", "r", splits)
    encoder = load_encoder(store, "cpu")
    validation = ValidationTiles(store, encoder, encoder.encode(tiles["others"]), seed=0, halvings=200)
    return {name: validation.measure(bundle_of(of_set)) for name, of_set in tiles.items()}


def bundle_of(tiles: np.ndarray) -> SimpleNamespace:
    """A bundle that draws these tiles, whatever the seed."""
    card = SimpleNamespace(size=64, bands=["r"], conditions=None)
    sha256 = hashlib.sha256(tiles.tobytes()).hexdigest()
    return SimpleNamespace(
        card=card, sha256=sha256, generate=lambda seed, n, first=0, *_, **__: tiles[first : first + n]
    )


def test_a_perfect_copy_is_before_other_fields_and_these_before_every_failure(scores: dict[str, Scores]) -> None:
    failures = [name for name in scores if name not in ("copy", "others")]
    pairs = [("copy", "others"), *(("others", failure) for failure in failures)]

    for better, worse in pairs:
        _, high = interval(scores[better].ranked - scores[worse].ranked)
        assert high < 0, (better, worse)


def test_real_tiles_pass_the_gates_and_one_repeated_does_not(scores: dict[str, Scores]) -> None:
    assert flaws(scores["copy"].gates, GATES) == []
    for name in scores:
        if name.startswith("repeated"):
            assert flaws(scores[name].gates, GATES)[0].startswith("collapsed")
