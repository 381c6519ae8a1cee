"""What training reads: batches of flux from a split of the store, turned and mirrored at random.

They are streamed: read from the store batch by batch. Or they are resident: they lie on the training's device, as they
are stored, and a batch is gathered there. Both give the same bits for the same random numbers.
"""

from collections.abc import Sequence

import numpy as np
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


SYMMETRIES = 8
SHARE = 0.5  # of a GPU's free memory that resident tiles may take: networks, features and graphs need the rest
_READ = 512  # tiles read at once on their way to a device


class ResidentTiles:
    """The tiles of a split on a device, in the type in which they are stored."""

    def __init__(self, split: TileSplit, dtype: str, device: torch.device) -> None:
        """Reads the whole split; `dtype` is the store's, so that nothing is rounded."""
        _, bands, side, _ = split.batch([]).shape
        self._tiles = torch.empty(len(split), bands, side * side, dtype=getattr(torch, dtype), device=device)
        for start in range(0, len(split), _READ):
            part = torch.from_numpy(split.batch(np.arange(start, min(start + _READ, len(split)))))
            self._tiles[start : start + len(part)] = part.flatten(2).to(self._tiles.dtype).to(device)
        pixels = torch.arange(side * side).view(side, side)
        places = [turn(pixels, symmetry).flatten() for symmetry in range(SYMMETRIES)]
        self._side, self._places = side, torch.stack(places).to(device)  # [8, H · W]: where each pixel comes from

    def __len__(self) -> int:
        return len(self._tiles)

    def deal(self, indices: torch.Tensor, symmetries: torch.Tensor) -> torch.Tensor:
        """The tiles at `indices` [N], each under its symmetry [N], as float32 [N, bands, H, W] in nmgy.

        Both lie on the device. Nothing waits for the device, so that a CUDA graph can hold it.
        """
        tiles = self._tiles.index_select(0, indices)
        places = self._places.index_select(0, symmetries)[:, None].expand_as(tiles)
        return tiles.gather(2, places).float().view(*tiles.shape[:2], self._side, self._side)


def fits(split: TileSplit, dtype: str, device: torch.device) -> bool:
    """Whether `device` is a GPU with enough free memory for the tiles of `split`."""
    if device.type != "cuda" or not len(split):
        return False
    size = len(split) * split[0].size * np.dtype(dtype).itemsize
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free


def draw_places(
    tiles: int, batch: int, generator: torch.Generator, share: slice = slice(None)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random indices [batch] of so many tiles and random symmetries [batch], of which those of `share` are given."""
    indices = torch.randint(tiles, (batch,), generator=generator)[share]
    return indices, torch.randint(SYMMETRIES, (batch,), generator=generator)[share]


def draw_batch(
    dataset: TileDataset, batch: int, generator: torch.Generator, share: slice = slice(None)
) -> torch.Tensor:
    """`batch` random tiles [batch, bands, H, W] in nmgy, each under a random symmetry of the square.

    Only those of `share` are read and given back; the numbers of the whole batch are drawn all the same.
    """
    indices, symmetries = draw_places(len(dataset), batch, generator, share)
    tiles = dataset.__getitems__(indices.tolist())
    # A tile at a time: on a CPU that takes less time than a gather by pixel, or than one by symmetry.
    return torch.stack([turn(tile, symmetry) for tile, symmetry in zip(tiles, symmetries.tolist(), strict=True)])
