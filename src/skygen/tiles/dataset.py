"""What training reads: batches of flux from a split of the store, turned and mirrored at random."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from skygen.tiles.store import TileSplit


class TileDataset(Dataset[torch.Tensor]):
    """The tiles of a split as float32 tensors [bands, H, W] in nmgy."""

    def __init__(self, split: TileSplit) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._split[index])

    def __getitems__(self, indices: Sequence[int]) -> torch.Tensor:
        """The tiles at `indices` as one tensor [N, bands, H, W]."""
        return torch.from_numpy(self._split.batch(indices))


def turn(tile: torch.Tensor, symmetry: int) -> torch.Tensor:
    """`tile` [..., H, W] under one of the square's eight symmetries: 0 to 3 quarter turns, from 4 on mirrored first.

    Turning and mirroring keep every flux, so they are safe augmentation for photometry.
    """
    mirrored = tile.flip(-1) if symmetry >= 4 else tile
    return torch.rot90(mirrored, symmetry % 4, (-2, -1))


def draw_batch(
    dataset: TileDataset, batch: int, generator: torch.Generator, share: slice = slice(None)
) -> torch.Tensor:
    """`batch` random tiles [batch, bands, H, W] in nmgy, each under a random symmetry of the square.

    Only those of `share` are read and given back; the numbers of the whole batch are drawn all the same.
    """
    indices = torch.randint(len(dataset), (batch,), generator=generator)[share].tolist()
    symmetries = torch.randint(8, (batch,), generator=generator)[share].tolist()
    tiles = dataset.__getitems__(indices)
    return torch.stack([turn(tile, symmetry) for tile, symmetry in zip(tiles, symmetries, strict=True)])
