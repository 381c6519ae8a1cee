"""The README's picture: real sky, generated sky as the survey would see it, and the same without noise.

    python docs/pictures/front.py FOLDER docs/pictures/front.jpg

FOLDER holds the frames of 3918-3-213, the test field of the documented eight, in g, r and i.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Rectangle
from skygen.sky.frame import read_frame
from skygen.sky.registration import band_shift

SIDE, SEED, GAP_PX = 384, 3, 12
CORNER = (900, 600)  # row and column of the real part
BALANCE = (0.7, 1.0, 1.6)  # of i, r, g


def main(folder: Path, target: Path) -> None:
    """Write the picture of three squares of sky."""
    bundle = Bundle.load(Path("bundles/gri128/scene"))
    seen = bundle.sky(Rectangle(SEED, 0, 0, SIDE, SIDE))
    clean = bundle.sky(Rectangle(SEED, 0, 0, SIDE, SIDE, noise="none", seeing=0.8))
    squares = [_colours(flux) for flux in (real(folder), seen, clean)]
    gap = np.full((SIDE, GAP_PX, 3), 255, dtype=np.uint8)
    Image.fromarray(np.hstack([squares[0], gap, squares[1], gap, squares[2]])).save(target, quality=90)


def real(folder: Path) -> NDArray[np.float32]:
    """A square of the real field [3, H, W] in g, r, i, moved onto r by whole pixels."""
    frames = [read_frame(folder / f"frame-{band}-003918-3-0213.fits.bz2") for band in "gri"]
    y, x = CORNER
    parts = []
    for frame in frames:
        dx, dy = band_shift(frames[1].wcs, frame.wcs, np.array([x + SIDE / 2]), np.array([y + SIDE / 2]))
        top, left = y + round(float(dy[0])), x + round(float(dx[0]))
        parts.append(frame.flux_nmgy[top : top + SIDE, left : left + SIDE])
    return np.stack(parts)


def _colours(flux: NDArray[np.float32]) -> NDArray[np.uint8]:
    g, r, i = flux[:, ::-1]
    scaled = [share * band for share, band in zip(BALANCE, (i, r, g), strict=True)]
    picture: NDArray[np.uint8] = make_lupton_rgb(*scaled, minimum=-0.02, stretch=0.25, Q=8)
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
