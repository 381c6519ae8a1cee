"""The eight real fields of SDSS through the stages frames and tiles, at laptop scale."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from skygen.params import Params
from skygen.sky.collect import collect_frames
from skygen.tiles.build import build_tile_set
from skygen.tiles.manifest import read_manifest
from skygen.tiles.store import SPLITS, TileStore

SDSS = Path(__file__).parents[3] / "shared" / "sdss"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SDSS.is_dir(), reason="the folder of real frames is not beside the project"),
]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    folder = tmp_path_factory.mktemp("real") / "frames"
    local = params.frames.model_copy(update={"source": "local", "folder": str(SDSS)})
    manifest = collect_frames(params.model_copy(update={"frames": local}), folder)
    assert len(manifest.frames) == 24
    assert not [refusal for refusal in manifest.refused if refusal.file.startswith("frame-")]
    assert all(0.023 <= row.sky_noise_nmgy <= 0.032 for row in manifest.frames if row.band == "r")
    return folder


@pytest.mark.parametrize("name", ["r64", "gri128", "sky"])
def test_real_fields_fill_a_tile_set_without_a_leak(frames: Path, tmp_path: Path, params: Params, name: str) -> None:
    tile_set, scale = params.tiles[name], params.chosen.tiles[name]
    card = build_tile_set(frames, tmp_path / name, name, tile_set, scale).card
    store = TileStore.open(tmp_path / name)
    rows, size = read_manifest(tmp_path / name).to_pylist(), tile_set.size
    fields = {split: {(row["run"], row["field"]) for row in rows if row["split"] == split} for split in SPLITS}
    assert all(not fields[one] & fields[other] for one, other in combinations(SPLITS, 2))
    assert sum(len(found) for found in fields.values()) == 8
    assert not any(card.left_out.values())

    most = scale.train_a_field * len(card.fields["train"])
    assert 0.5 * most < len(store.split("train")) <= most
    for split in ("validation", "test"):
        corners = {(row["run"], row["x"], row["y"]) for row in rows if row["split"] == split}
        assert len(corners) == len(store.split(split)) > 200  # all that the grids of two fields have
        assert all(x % size == 0 and y % size == 0 for _, x, y in corners)  # on a grid: disjoint
    for split in SPLITS:
        assert 0.1 < card.survival[split].kept < 1
        tiles = store.split(split).batch(range(0, len(store.split(split)), 5))
        assert np.isfinite(tiles).all()
        assert 0.02 < np.median(tiles.std(axis=(2, 3))) < 5
    assert not any(row[flag] for row in rows for flag in tile_set.drop)
