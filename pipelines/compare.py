"""DVC stage compare: the metrics of all runs → comparison, report and figures. Usage: python pipelines/compare.py"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from skygen.files import read_json, write_atomically, write_json
from skygen.formats.sheets import SHEET_PX, save_picture, sheet, side_by_side
from skygen.params import load_or_end
from skygen.report.chart_style import save_chart
from skygen.report.charts import REAL, draw_colours, draw_curves, draw_histograms, draw_spectra
from skygen.report.dvc_files import write_plots, write_scores
from skygen.report.intervals_chart import draw_intervals
from skygen.report.page import write_page
from skygen.report.text import charts, write_report
from skygen.selection.comparison import compare, read_runs
from skygen.tiles.store import TileStore

REPORTS, TILES, MODELS = Path("reports"), Path("data/tiles"), Path("models")


def main() -> None:
    """Compare the runs that params.yaml names, at every tile set."""
    params = load_or_end()
    comparison = compare(read_runs(REPORTS, params), params.evaluation.champion)
    write_json(REPORTS / "comparison.json", comparison)
    shapes = {}
    for tiles, recipes in comparison["sets"].items():
        store = TileStore.open(TILES / tiles)
        shapes[tiles] = f"{store.card.size}×{store.card.size}×{len(store.card.bands)}"  # noqa: RUF001
        _show(tiles, store, recipes, comparison["bundles"][tiles])
    report = write_report(comparison, shapes)
    _write(REPORTS / "comparison.md", report)
    _write(REPORTS / "comparison.html", write_page(report, REPORTS))
    for tiles, champion in comparison["champions"].items():
        value = f"{comparison['ranked_by']} {champion['value']:.3g}"
        print(f"{tiles}: champion {champion['recipe']}, seed {champion['seed']}, {value}")


def _show(tiles: str, store: TileStore, recipes: Mapping[str, Any], bundles: Mapping[str, int]) -> None:
    """Draw a tile set's figures, of each recipe's best seed, and write what DVC shows of it."""
    figures, best = REPORTS / "figures", {name: REPORTS / tiles / name / str(seed) for name, seed in bundles.items()}
    real = store.split("test")
    shown = real.batch(range(min(len(real), (SHEET_PX // store.card.size) ** 2)))  # of the generated ones' numbers
    grids = {f"{name}, seed {bundles[name]}": Image.open(folder / "grid.png") for name, folder in best.items()}
    save_picture(side_by_side({REAL: sheet(shown, store.card.bands)} | grids), figures / f"{tiles}-tiles.png")
    folders = {REAL: REPORTS / tiles} | best
    distributions = {name: read_json(folder / "distributions.json") for name, folder in folders.items()}
    histories = {
        name: [read_json(MODELS / tiles / name / str(seed) / "history.json") for seed in result["seeds"]]
        for name, result in recipes.items()
    }
    drawn = {
        "histograms": lambda: draw_histograms(distributions),
        "spectra": lambda: draw_spectra(distributions),
        "colours": lambda: draw_colours(distributions),
        "curves": lambda: draw_curves(histories),
    }
    for chart in charts(recipes):
        save_chart(drawn[chart](), figures / f"{tiles}-{chart}.svg")
    save_chart(draw_intervals(recipes), figures / f"{tiles}-intervals.svg")
    write_plots(REPORTS / "plots", tiles, distributions, histories)
    write_scores(REPORTS / "scores", tiles, recipes)


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
