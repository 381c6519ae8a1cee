"""DVC stage compare: the metrics of all runs → comparison and figures. Usage: python pipelines/compare.py"""

from pathlib import Path

from PIL import Image

from skygen.evaluation.comparison import compare, read_runs
from skygen.evaluation.controls import controls
from skygen.evaluation.figures import save_intervals, save_picture, sheet, side_by_side
from skygen.evaluation.report import write_report
from skygen.files import write_atomically, write_json
from skygen.params import Params, load
from skygen.tiles.store import TileStore

REPORTS, TILES = Path("reports"), Path("data/tiles")


def main() -> None:
    """Compare the runs that params.yaml names, at every tile set."""
    params = load(Path("params.yaml"))
    comparison = compare(read_runs(REPORTS, params))
    write_json(REPORTS / "comparison.json", comparison)
    save_intervals(comparison["sets"], REPORTS / "figures/intervals.png")
    for tiles in params.tiles.sets:
        save_picture(_real_and_generated(tiles, params), REPORTS / "figures" / f"{tiles}.png")
    with write_atomically(REPORTS / "comparison.md") as temporary:
        temporary.write_text(write_report(comparison), encoding="utf-8")
    for tiles, champion in comparison["champions"].items():
        print(f"{tiles}: champion {champion['recipe']}, seed {champion['seed']}, score {champion['score']:.3g}")


def _real_and_generated(tiles: str, params: Params) -> Image.Image:
    """Real test tiles beside the tiles of every recipe's first seed."""
    store = TileStore.open(TILES / tiles)
    pictures = {"real": sheet(controls(store, "test").real_a, store.card.bands)}
    for recipe in params.compared:
        pictures[recipe] = Image.open(REPORTS / tiles / recipe / str(params.seeds[0]) / "grid.png")
    return side_by_side(pictures)


if __name__ == "__main__":
    main()
