"""The peaks of tiles by one simple rule, the same for real and for generated ones, and stamps around them."""

from typing import NamedTuple

import torch
from torch.nn import functional

from skygen.sky.noise import MAD_TO_SIGMA

STAMP_PX = 24
LEAST_SIGMA = 4.0  # height of a peak over the tile's sky, in units of the noise of its smoothed image
SMOOTHING_PX = 3  # side of the box over which a tile is averaged first: about a seeing disc
NEIGHBOURHOOD_PX = 9  # a peak is the brightest pixel of a square of this side
BORDER_PX = 4  # of a tile where no peak counts: there a tile's edge makes some


class Peaks(NamedTuple):
    """m peaks: the tile that each lies on, its pixel, and how many times the noise it is high."""

    tile: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor
    sigma: torch.Tensor


def heights(flux: torch.Tensor) -> torch.Tensor:
    """The heights [N, H, W] in units of the noise where images [N, H, W] have a peak, and 0 elsewhere."""
    smooth = functional.avg_pool2d(flux[:, None], SMOOTHING_PX, 1, SMOOTHING_PX // 2, count_include_pad=False)
    above = smooth - _median(smooth)
    noise = MAD_TO_SIGMA * _median(above.abs())
    around = above
    for side in ((NEIGHBOURHOOD_PX, 1), (1, NEIGHBOURHOOD_PX)):  # a square's maximum, in a quarter of the time
        around = functional.max_pool2d(around, side, 1, (side[0] // 2, side[1] // 2))
    is_peak = (above == around) & (above > LEAST_SIGMA * noise)
    inside = torch.zeros_like(is_peak)
    inside[..., BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    return torch.where(is_peak & inside, above / noise, torch.zeros_like(above))[:, 0]


def _median(images: torch.Tensor) -> torch.Tensor:
    """Of every other pixel, which tells enough of a smoothed image."""
    return images[..., ::2, ::2].flatten(1).median(1).values[:, None, None, None]


def highest(of_pixels: torch.Tensor, most: int) -> Peaks:
    """Of `heights` [N, H, W] the peaks, `most` of a tile at most: its highest, in this order, tile by tile."""
    sigma, pixel = of_pixels.flatten(1).topk(min(most, of_pixels[0].numel()))
    tile, rank = (sigma > 0).nonzero(as_tuple=True)
    pixel = pixel[tile, rank]
    width = of_pixels.shape[-1]
    return Peaks(tile, pixel // width, pixel % width, sigma[tile, rank])


def cut_stamps(tiles: torch.Tensor, peaks: Peaks) -> torch.Tensor:
    """The stamps [m, bands, 24, 24] of `tiles` [N, bands, H, W] around their peaks, moved inside at an edge."""
    height, width = tiles.shape[-2:]
    offset = torch.arange(STAMP_PX, device=tiles.device)
    rows = (peaks.row - STAMP_PX // 2).clamp(0, height - STAMP_PX)[:, None] + offset
    columns = (peaks.column - STAMP_PX // 2).clamp(0, width - STAMP_PX)[:, None] + offset
    return tiles.movedim(1, -1)[peaks.tile[:, None, None], rows[:, :, None], columns[:, None]].movedim(-1, 1)
