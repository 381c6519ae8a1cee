"""Where tiles come from, as every format that has room for it says."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """The tile set, the generator and the seed of some tiles, and what one needs to read them."""

    tiles: str
    recipe: str
    model_sha256: str
    seed: int
    noise: str
    bands: Sequence[str]
    pixel_scale_arcsec: float

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `ValueError` where `shape` is not `[N, bands, H, W]` with one plane a band."""
        if len(shape) != 4 or shape[1] != len(self.bands):
            wanted = f"[N, {len(self.bands)}, H, W] for the bands {','.join(self.bands)}"
            raise ValueError(f"tiles have shape {list(shape)}; wanted {wanted}")
