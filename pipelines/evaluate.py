"""DVC stage evaluate@SET-RECIPE-SEED: a bundle → its metrics. Usage: python pipelines/evaluate.py SET RECIPE SEED"""

import sys
from pathlib import Path

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.cores import keep_to_cores
from skygen.encoder.network import Encoder, load_encoder
from skygen.evaluation.bundle import Evaluated, Evaluation
from skygen.evaluation.control_values import read_control_values
from skygen.evaluation.controls import held
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
    encoders, controls = Path("models/encoders") / tiles, Path("reports") / tiles / "controls.json"
    encoder = load_encoder(encoders, store, device)
    shift, bootstrap = params.evaluation.seed, params.chosen.evaluation.bootstrap
    control_values = read_control_values(controls, store, encoder, encoders, shift, bootstrap)
    logits = logits_of(
        load_discriminator(models / "discriminator.safetensors", bundle.card), bundle.card.stretch, device
    )
    given = Given(store.card.bands, encoder.encode, shift, encoder.train_features)
    evaluation = Evaluation(store, control_values, measures_of(given), logits)
    validation = evaluation.measure(bundle, held(store, "validation", shift)).section
    test = evaluation.measure(bundle, held(store, "test", shift))  # whose tiles are shown
    origin = {"encoder": encoder.sha256, "bundle": bundle.sha256, "data": store.card.data_hash}
    sections = {"validation": validation, "test": test.section}
    write_json(reports / "metrics.json", {**origin, "tiles": control_values.tiles, **sections})
    show(test, evaluation, encoder, reports)
    values = {f"{split}.{key}": metric["value"] for split in sections for key, metric in entries(sections[split])}
    artifacts = [reports / written for written in ("metrics.json", "distributions.json", "grid.png", "neighbours.png")]
    tracking.log_evaluation(tiles, recipe, int(seed), bundle.sha256, values, artifacts)
    for key, value in values.items():
        print(f"{key}: {value:.4g}")


def show(test: Evaluated, evaluation: Evaluation, encoder: Encoder, reports: Path) -> None:
    """Write what is looked at: a sheet of generated tiles, the nearest training tiles, and the distributions."""
    bands = evaluation.store.card.bands
    write_json(reports / "distributions.json", distributions(test.described, evaluation.measures, bands))
    save_picture(sheet(test.tiles, bands), reports / "grid.png")
    features, real = test.described[encoder.encode], test.real[encoder.encode]
    pairs = closest_pairs(test.tiles, features, real, evaluation.store.split("train"), encoder.train_features, bands)
    save_picture(pairs, reports / "neighbours.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
