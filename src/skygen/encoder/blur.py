"""Gaussians as filters of tiles: what a wider PSF does to light, and to the noise that was there before."""

import math

import torch
from torch.nn import functional

MARGIN_PX = 8  # by which a tile is continued, as in a mirror, before it is blurred


def blurred(images: torch.Tensor, sigma: torch.Tensor, rows: bool = True) -> torch.Tensor:
    """`images` [..., H, W] under a Gaussian of `sigma` px along the rows, and along the columns too where `rows`."""
    padded = functional.pad(images, [MARGIN_PX] * 4, mode="reflect")
    return filtered(padded, transfer(padded, sigma, rows))[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def filtered(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """`images` [..., H, W] as if they went on in circles, times `factors` at each spatial frequency."""
    filtered: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * factors, s=images.shape[-2:])
    return filtered


def transfer(images: torch.Tensor, sigma: torch.Tensor, rows: bool) -> torch.Tensor:
    """The Fourier transform, at the frequencies of `images`, of a discrete Gaussian with a variance of `sigma`² px.

    Lindeberg 1990 (doi:10.1109/34.49051, eq. 19): its variance is exact however narrow it is, and as it is nowhere
    negative, a spike of a single pixel does not ring.
    """
    height, width = images.shape[-2:]
    along, across = (
        torch.cos(2 * math.pi * cycles) - 1 for cycles in (torch.fft.rfftfreq(width), torch.fft.fftfreq(height))
    )
    return torch.exp(sigma**2 * (along + across[:, None] * rows))
