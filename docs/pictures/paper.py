"""The pictures of docs/paper.md, from those that `skygen paper --figures` and the experiments drew.

    python docs/pictures/paper.py reports/paper docs/pictures

Prints the caption of each figure in them. Mosaics are cut to their first 16 tiles of 128 px. An experiment without a
picture in the first folder keeps the one that it has.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image

from skygen.files import read_json
from skygen.formats.sheets import side_by_side

MOST_PX = 518  # 4 tiles of 128 px with their seams
PICTURES = {
    "paper-r64.jpg": {
        "10: improved": "figure-10",
        "11: gan": "figure-11",
        "12: test tiles": "figure-12",
        "scene (ours)": "scene-r64",
    },
    "paper-gri128.jpg": {
        "13: improved": "figure-13",
        "14: gan": "figure-14",
        "test tiles": "real-gri128",
        "scene (ours)": "scene-gri128",
    },
    "paper-start.jpg": {"4: uniform weights": "figure-04", "5: Gaussian weights": "figure-05"},
}
ARMS = ("activation-r64", "loss-r64", "layers-r64")  # tiles of an experiment's arms
CHARTS = ("figures-04-05", "figures-08-09", "section-3.3")


def main(reports: Path, target: Path) -> None:
    """Write the pictures and copy the charts."""
    for name in ARMS:
        if (reports / f"{name}.png").is_file():
            arms = Image.open(reports / f"{name}.png")
            arms.save(target / f"paper-{name}.jpg", quality=80, optimize=True)
    figures = reports / "figures"
    captions = read_json(figures / "captions.json")
    for name, parts in PICTURES.items():
        opened = {title: _shown(figures / f"{part}.png") for title, part in parts.items()}
        side_by_side(opened).save(target / name, quality=85, optimize=True)
        for part in parts.values():
            sys.stdout.write(f"{name}: {captions[f'{part}.png']}\n")
    for chart in CHARTS:
        shutil.copyfile(figures / f"{chart}.svg", target / f"paper-{chart}.svg")
        sys.stdout.write(f"paper-{chart}.svg: {captions[f'{chart}.svg']}\n")


def _shown(path: Path) -> Image.Image:
    """A mosaic's corner, a sheet of small tiles whole, and half of what was drawn at twice its size."""
    picture = Image.open(path)
    if path.stem in ("figure-04", "figure-05"):
        return picture.reduce(2)
    return picture.crop((0, 0, MOST_PX, MOST_PX)) if picture.width > 2 * MOST_PX else picture


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
