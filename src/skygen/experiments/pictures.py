"""reports/paper/NAME-SET.png: generated tiles of each arm of an experiment, side by side, best arm first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from skygen.experiments.cells import Cell, Result, value_of
from skygen.experiments.spec import Experiment
from skygen.experiments.summary import REPORTS
from skygen.formats.png import SEAM_PX
from skygen.formats.sheets import save_picture, side_by_side
from skygen.report.tables import number

_MOST_PX = 518  # side of an arm's part: 4 x 4 tiles of 128 px, 7 x 7 of 64 px


def draw_arms(experiment: Experiment, content: Mapping[str, Any], done: Mapping[Cell, Result]) -> list[Path]:
    """Write a picture a tile set, of the first seed of each arm that was not lost; the paths.

    They are tiles as they are compared with those of the test split, under the same stretch in all arms. `content` is
    the summary of the cells that are done.
    """
    found, written = {(cell.tiles, cell.arm, cell.seed): (cell, result) for cell, result in done.items()}, []
    for tiles, of_set in content["sets"].items():
        step = experiment.params.tiles[tiles].size + SEAM_PX
        side = max(1, (_MOST_PX + SEAM_PX) // step) * step - SEAM_PX
        pictures = {}
        for arm, of_arm in of_set["arms"].items():
            for seed in [seed for seed in sorted(of_arm["seeds"]) if seed not in of_arm["lost"]][:1]:
                cell, result = found[tiles, arm, seed]
                kernel = number(value_of(result, "test", "kernel") or 0.0)
                with Image.open(cell.training.grid_file(tiles)) as sheet:
                    pictures[f"{arm}, kernel {kernel}"] = sheet.crop((0, 0, side, side))
        if pictures:
            written.append(REPORTS / f"{experiment.name}-{tiles}.png")
            save_picture(side_by_side(pictures), written[-1])
    return written
