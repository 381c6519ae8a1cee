"""DVC stage controls@SET: what real tiles get by every metric, which models are compared with.

Usage: python pipelines/controls.py SET
"""

import sys
from pathlib import Path
from typing import Any

from skygen.encoder.network import load_encoder
from skygen.evaluation.control_values import ControlValues, measure_controls
from skygen.evaluation.controls import held
from skygen.evaluation.distributions import distributions
from skygen.files import write_json
from skygen.measure.metric import Given
from skygen.measure.table import measures_of
from skygen.params import load_or_end
from skygen.provenance import choose_device
from skygen.tiles.store import Split, TileStore

SPLITS: tuple[Split, ...] = ("validation", "test")


def main(tiles: str) -> None:
    """Measure the real tiles of a set."""
    params, reports = load_or_end(), Path("reports") / tiles
    seed, bootstrap = params.evaluation.seed, params.chosen.evaluation.bootstrap
    store = TileStore.open(Path("data/tiles") / tiles)
    encoder = load_encoder(Path("models/encoders") / tiles, store, choose_device())
    measures = measures_of(Given(store.card.bands, encoder.encode, seed))
    halves = {split: held(store, split, seed) for split in SPLITS}
    measured = {
        name: measure_controls(store, half, measures, encoder, bootstrap, seed) for name, half in halves.items()
    }
    content: dict[str, Any] = {
        "encoder": encoder.sha256,
        "data": store.card.data_hash,
        "seed": seed,
        "bootstrap": bootstrap,
        "tiles": {split: len(half.second) for split, half in halves.items()},
        "repeated": {split: found.repeated for split, found in measured.items()},
        **{split: found.controls for split, found in measured.items()},
        "replicates": {split: found.replicates for split, found in measured.items()},
    }
    write_json(reports / "controls.json", ControlValues(**content).model_dump())
    write_json(reports / "distributions.json", distributions(measured["test"].real, measures, store.card.bands))
    for key, controls in measured["test"].controls.items():
        print(f"test.{key}: " + ", ".join(f"{name} {value:.4g}" for name, value in controls.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
