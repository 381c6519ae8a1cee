"""DVC stage evaluate@SET-RECIPE-SEED: a bundle → its metrics. Usage: python pipelines/evaluate.py SET RECIPE SEED"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.cores import keep_to_cores
from skygen.encoder.features import features_path, read_features
from skygen.encoder.network import Encoder, load_encoder
from skygen.evaluation.bundle import Evaluated, Evaluation
from skygen.evaluation.control_values import read_control_values
from skygen.evaluation.controls import HELD_OUT, held_out
from skygen.evaluation.discriminator import logits_of
from skygen.evaluation.distributions import distributions
from skygen.evaluation.neighbours import closest_pairs
from skygen.evaluation.scoring import entries
from skygen.files import write_json
from skygen.formats.sheets import save_picture, sheet
from skygen.gan.card import load_discriminator
from skygen.measure.metric import Given
from skygen.measure.table import measures_of
from skygen.params import load_or_end
from skygen.provenance import choose_device
from skygen.tiles.store import TileStore


def main(tiles: str, recipe: str, seed: str) -> None:
    """Measure the bundle of one training on the held-out tiles."""
    params = load_or_end()
    keep_to_cores()
    name, device = Path(tiles) / recipe / seed, choose_device()
    models, reports = Path("models") / name, Path("reports") / name
    store, bundle = TileStore.open(Path("data/tiles") / tiles), Bundle.load(models / "bundle", device)
    encoder = load_encoder(store, device)
    shift, halvings = params.evaluation.seed, params.chosen.evaluation.halvings
    controls = read_control_values(Path("reports") / tiles / "controls.json", store, encoder, shift, halvings)
    weights = models / "discriminator.safetensors"  # which a bundle that was trained elsewhere may lack
    logits = (
        logits_of(load_discriminator(weights, bundle.card), bundle.card.stretch, device) if weights.is_file() else None
    )
    train_features = read_features(features_path(tiles), encoder, store)
    given = Given(store.card.bands, encoder.encode, shift, train_features, logits)
    evaluation = Evaluation(store, controls, measures_of(given))
    validation = evaluation.measure(bundle, held_out(store, "validation", shift, halvings)).section
    test = evaluation.measure(bundle, held_out(store, "test", shift, halvings))  # whose tiles are shown
    sections = {"validation": validation, "test": test.section}
    content = {
        "encoder": encoder.sha256,
        "bundle": bundle.sha256,
        "data": store.card.data_hash,
        "tiles": {split: controls.of(split).tiles for split in HELD_OUT},
        "fields": {split: controls.of(split).fields for split in HELD_OUT},
    }
    write_json(reports / "metrics.json", content | sections)
    show(test, evaluation, encoder, train_features, reports)
    values = {f"{split}.{key}": metric["value"] for split in sections for key, metric in entries(sections[split])}
    artifacts = [reports / written for written in ("metrics.json", "distributions.json", "grid.png", "neighbours.png")]
    tracking.log_evaluation(tiles, recipe, int(seed), bundle.sha256, values, artifacts)
    for key, value in values.items():
        print(f"{key}: {value:.4g}")


def show(
    test: Evaluated, evaluation: Evaluation, encoder: Encoder, train_features: NDArray[np.float32], reports: Path
) -> None:
    """Write what is looked at: a sheet of generated tiles, the nearest training tiles, and the distributions."""
    bands = evaluation.store.card.bands
    write_json(reports / "distributions.json", distributions(test.described, evaluation.measures, bands))
    save_picture(sheet(test.tiles, bands), reports / "grid.png")
    features, real = test.described[encoder.encode], test.real[encoder.encode]
    pairs = closest_pairs(test.tiles, features, real, evaluation.store.split("train"), train_features, bands)
    save_picture(pairs, reports / "neighbours.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
