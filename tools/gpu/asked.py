"""What is asked of a check of a GPU, and what a part of it answers."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skygen.files import write_atomically
from skygen.formats.png import contact_levels, encode_png

SETS = ("r64", "gri128")  # of the tiles that are served


@dataclass(frozen=True)
class Asked:
    """What is asked for on the command line."""

    device: str
    iterations: int  # of each short training
    scale: str  # of params.yaml: the widths and batches of the trainings
    store: Path  # a folder with a packed tile store a set
    bundles: Path  # a folder with bundles at SET/RECIPE
    out: Path
    tiles: int  # of each served pass
    rectangle: tuple[int, int]  # width and height of the sky that is served
    batches: tuple[int, ...] = (32,)  # at which speed is measured
    long: int = 20_000  # iterations of each long training
    minutes: float = 10.0  # that a call takes at most


@dataclass(frozen=True)
class Found:
    """What a part measured, and a sentence for everything that is not as it should be."""

    measured: dict[str, float | int | str | bool | None]
    failures: list[str] = field(default_factory=list)
    finished: bool = True  # False: the next call goes on with it


def picture(path: Path, flux_nmgy: NDArray[np.float32], bands: list[str]) -> None:
    """Write tiles [N, bands, H, W] as one picture."""
    with write_atomically(path) as temporary:
        temporary.write_bytes(encode_png(contact_levels(flux_nmgy, bands)))
