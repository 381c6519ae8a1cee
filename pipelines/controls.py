"""DVC stage controls@SET: what real tiles get by every metric, which models are compared with, and their features.

Usage: python pipelines/controls.py SET
"""

import sys
from pathlib import Path

from skygen.encoder.features import features_path, read_features, write_features
from skygen.encoder.network import load_encoder
from skygen.evaluation.control_values import ControlValues, measure_controls
from skygen.evaluation.controls import HELD_OUT, held_out
from skygen.evaluation.distributions import distributions
from skygen.files import write_json
from skygen.measure.metric import Given
from skygen.measure.table import measures_of
from skygen.params import load_or_end
from skygen.provenance import choose_device
from skygen.tiles.store import TileStore


def main(tiles: str) -> None:
    """Measure the real tiles of a set."""
    params, reports = load_or_end(), Path("reports") / tiles
    seed, halvings = params.evaluation.seed, params.chosen.evaluation.halvings
    store = TileStore.open(Path("data/tiles") / tiles)
    encoder = load_encoder(store, choose_device())
    if params.frames.source == "simulated" and params.frames.seed == encoder.card.seed:
        sys.exit(f"controls {tiles}: frames.seed {encoder.card.seed} made the sky of the encoder; take another")
    write_features(features_path(tiles), encoder, store)
    train_features = read_features(features_path(tiles), encoder, store)
    measures = measures_of(Given(store.card.bands, encoder.encode, seed))
    measured = {
        split: measure_controls(store, held_out(store, split, seed, halvings), measures, encoder, train_features, seed)
        for split in HELD_OUT
    }
    content = ControlValues(
        encoder=encoder.sha256,
        data=store.card.data_hash,
        seed=seed,
        halvings=halvings,
        validation=measured["validation"].controls,
        test=measured["test"].controls,
    )
    write_json(reports / "controls.json", content.model_dump())
    write_json(reports / "distributions.json", distributions(measured["test"].real, measures, store.card.bands))
    for key, controls in measured["test"].controls.values.items():
        print(f"test.{key}: " + ", ".join(f"{name} {value:.4g}" for name, value in controls.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
