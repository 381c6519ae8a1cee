"""The discriminator of a process: one network looks at patches anywhere, one at stamps around peaks.

A patch mostly shows noise, and tells how many sources there are; a stamp always shows one, and tells its colour and its
shape. Measured apart: patches alone leave colours swinging by 0.3 mag, stamps alone lose the number of sources.
"""

from collections.abc import Sequence

import torch
from torch import nn

from skygen.gan.networks import Discriminator, Judge
from skygen.gan.peaks import STAMP_PX, cut_stamps, heights, highest
from skygen.sky.stretch import Stretch

COLOUR_GAIN = 4.0  # differences of bands, beside what they have in common: colours are learned in a fifth of the steps
PATCH_PX = 32  # a network for tiles of this side, laid on all places of larger ones: its logits have 46 px in view


class Judges(nn.Module):
    """Both networks. What they look at is stretched; peaks are found in the flux of the `reference` band."""

    def __init__(self, bands: int, reference: int, width: int, stretch: Stretch, stamps_a_tile: int) -> None:
        super().__init__()
        self.patches = Discriminator(PATCH_PX, bands, width, "none", 1.0)
        self.stamps = Discriminator(STAMP_PX, bands, width, "none", 1.0)
        self._reference, self._stretch, self._most = reference, stretch, stamps_a_tile

    @property
    def judges(self) -> Sequence[Judge]:
        """The network for patches, and that for stamps."""
        return Judge(self.patches, self._coloured), Judge(self.stamps, self._cut, self._most)

    def heights(self, tiles: torch.Tensor) -> torch.Tensor:
        """The peaks' heights [N, H, W] in stretched tiles [N, bands, H, W]."""
        with torch.no_grad():
            return heights(self._stretch.unstretch(tiles[:, self._reference]))

    def _coloured(self, tiles: torch.Tensor) -> torch.Tensor:
        """The reference band, and by how much each other band differs from it."""
        common = tiles[:, self._reference, None]
        others = [band for band in range(tiles.shape[1]) if band != self._reference]
        return torch.cat([common, COLOUR_GAIN * (tiles[:, others] - common)], 1)

    def _cut(self, tiles: torch.Tensor) -> torch.Tensor:
        return self._coloured(cut_stamps(tiles, highest(self.heights(tiles), self._most)))
