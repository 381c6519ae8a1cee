"""What the service answers, in Python: arrays of flux, and catalogues."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from numpy.typing import NDArray

from skygen.client.transport import SkygenError

if TYPE_CHECKING:
    from astropy.table import Table

UNIT = "nanomaggy"  # 3.631 microjansky (AB): a magnitude of 22.5


@dataclass(frozen=True, eq=False)  # arrays are not equal or unequal as a whole
class Tiles:
    """Tiles as flux [n, bands, H, W] float32 in nanomaggies, and what made them."""

    flux: NDArray[np.float32]
    bands: tuple[str, ...]
    pixel_scale_arcsec: float
    recipe: str
    model_sha256: str
    engine: str  # which computed the model: the last bits are its own
    seed: int
    unit: str = UNIT

    def __len__(self) -> int:
        """The number of tiles."""
        return len(self.flux)

    def band(self, name: str) -> NDArray[np.float32]:
        """The tiles in one band [n, H, W]; raises `ValueError` where the set has no such band."""
        if name not in self.bands:
            raise ValueError(f"no band {name!r} here; there is {', '.join(self.bands)}")
        return self.flux[:, self.bands.index(name)]


def tiles_of(answer: httpx.Response, card: Mapping[str, Any], seed: int) -> Tiles:
    """The tiles of an answer in npy; raises `ValueError`, `LookupError` or `EOFError` where it holds none."""
    flux = np.load(io.BytesIO(answer.content), allow_pickle=False)
    return Tiles(
        flux=flux if flux.ndim == 4 else flux[None],  # a rectangle of a sky is [bands, H, W]
        bands=tuple(card["bands"]),
        pixel_scale_arcsec=card["pixel_scale_arcsec"],
        recipe=card["recipe"],
        model_sha256=answer.headers["X-Skygen-Model"],
        engine=answer.headers["X-Skygen-Engine"],
        seed=int(seed),
    )


def table_of(answer: httpx.Response) -> "Table":
    """The table of a catalogue; raises `SkygenError` where astropy, which reads it, is not installed."""
    try:
        from astropy.table import Table
    except ImportError as error:
        raise SkygenError("a catalogue is read by astropy, which is not installed: pip install astropy") from error
    return Table.read(answer.text, format="ascii.ecsv")
