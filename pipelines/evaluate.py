"""DVC stage evaluate@SET-RECIPE-SEED: a bundle → its metrics. Usage: python pipelines/evaluate.py SET RECIPE SEED"""

import sys
from pathlib import Path

from skygen import tracking
from skygen.bundle import Bundle, load_discriminator
from skygen.evaluation.controls import controls
from skygen.evaluation.figures import save_picture, sheet
from skygen.evaluation.judge import judge
from skygen.evaluation.scoring import entries, evaluate
from skygen.files import write_json
from skygen.measure.table import discriminator_accuracy, metrics
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
    logits = judge(discriminator, store.card.stretch, device)
    rows = [*metrics(store.card.bands), discriminator_accuracy(logits)]
    replicates = load(Path("params.yaml")).chosen.evaluation.bootstrap
    fakes = {
        split: bundle.generate(generation_seed, len(store.split(split)) // 2)
        for split, generation_seed in SEEDS.items()
    }
    sections = {split: evaluate(fake, controls(store, split), rows, replicates) for split, fake in fakes.items()}
    save_picture(sheet(fakes["test"], store.card.bands), reports / "grid.png")
    write_json(reports / "metrics.json", sections)
    values = {f"{split}.{key}": metric["value"] for split in SEEDS for key, metric in entries(sections[split])}
    artifacts = [reports / "metrics.json", reports / "grid.png"]
    tracking.log_evaluation(tiles, recipe, int(seed), bundle.sha256, values, artifacts)
    for key, value in values.items():
        print(f"{key}: {value:.4g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
