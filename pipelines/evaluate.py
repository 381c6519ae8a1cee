"""DVC stage evaluate@SET-RECIPE-SEED: a bundle → its metrics. Usage: python pipelines/evaluate.py SET RECIPE SEED"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen import tracking
from skygen.bundle import Bundle, load_discriminator
from skygen.evaluation.controls import collapse, collapse_scene, controls
from skygen.evaluation.figures import save_picture, sheet
from skygen.evaluation.judge import judge
from skygen.evaluation.scoring import entries, evaluate
from skygen.files import write_json
from skygen.gan.view import Conditions
from skygen.measure.table import Metric, discriminator_accuracy, metrics
from skygen.params import load
from skygen.provenance import choose_device
from skygen.tiles.store import Split, TileStore

SEEDS: dict[Split, int] = {"validation": 20_190_000, "test": 20_190_001}  # of the generated tiles: no training's seed


def main(tiles: str, recipe: str, seed: str) -> None:
    """Measure the bundle of one training on the held-out tiles."""
    name, device = Path(tiles) / recipe / seed, choose_device()
    models, reports = Path("models") / name, Path("reports") / name
    bundle = Bundle.load(models / "bundle", device)
    store = TileStore.open(Path("data/tiles") / tiles)
    discriminator = load_discriminator(models / "discriminator.safetensors", bundle.card)
    logits = judge(discriminator, bundle.card.stretch, device)
    rows = [*metrics(store.card.bands), discriminator_accuracy(logits)]
    replicates = load(Path("params.yaml")).chosen.evaluation.bootstrap
    measured = {split: measure(bundle, store, split, rows, replicates) for split in SEEDS}
    sections = {split: section for split, (_, section) in measured.items()}
    save_picture(sheet(measured["test"][0], store.card.bands), reports / "grid.png")
    write_json(reports / "metrics.json", sections)
    values = {f"{split}.{key}": metric["value"] for split in SEEDS for key, metric in entries(sections[split])}
    artifacts = [reports / "metrics.json", reports / "grid.png"]
    tracking.log_evaluation(tiles, recipe, int(seed), bundle.sha256, values, artifacts)
    for key, value in values.items():
        print(f"{key}: {value:.4g}")


def measure(
    bundle: Bundle, store: TileStore, split: Split, rows: Sequence[Metric], replicates: int
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """As many generated tiles as half of a split holds, and their section of metrics.json.

    Scenes are observed under the conditions of the very fields that they are compared with, and their diversity is
    measured free of noise, which would hide a collapse.
    """
    real, seed = controls(store, split), SEEDS[split]
    if bundle.card.conditions is None:
        fake = bundle.generate(seed, len(real.fields))
        return fake, evaluate(fake, real, rows, replicates)
    fields = [store.card.conditions[field] for field in real.fields]
    fake, scenes = (bundle.generate(seed, len(fields), noise=noise, conditions=fields) for noise in ("survey", "none"))
    repeated = collapse_scene(scenes[0], Conditions.of_fields(fields, store.card.pixel_scale_arcsec))
    section = evaluate(fake, real._replace(collapsed=repeated), rows, replicates)
    diversity = [row for row in rows if row.key == "diversity"]
    return fake, section | evaluate(scenes, real._replace(collapsed=collapse(scenes)), diversity, replicates)


if __name__ == "__main__":
    main(*sys.argv[1:])
