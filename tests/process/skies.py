"""Processes and conditions for tests."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from skygen.process.cells import Boxes
from skygen.process.generator import Process
from skygen.process.philox import keys_of


class Conditions(NamedTuple):
    sky_noise_nmgy: torch.Tensor
    nmgy_per_electron: torch.Tensor
    psf_fwhm_px: torch.Tensor
    sky_level_nmgy: torch.Tensor
    density: torch.Tensor | None
    offset_px: torch.Tensor | None = None


def conditions(n=1, bands=3, density=(1.5, 1.2)):
    noise, fwhm = torch.tensor([[0.017, 0.028, 0.047]])[:, :bands], torch.tensor([[3.7, 3.4, 3.3]])[:, :bands]
    electron, level = torch.full((n, bands), 0.001), torch.zeros(n, bands)
    return Conditions(noise.repeat(n, 1), electron, fwhm.repeat(n, 1), level, torch.tensor([density]).repeat(n, 1))


def process(bands=3, background=0.0):
    """A process whose networks give objects that differ, without training."""
    rng = torch.Generator().manual_seed(3)
    made = Process(bands, 1 if bands > 1 else 0)
    for part in made.marks.modules():
        if isinstance(part, nn.Linear) and part.weight.numel():
            nn.init.normal_(part.weight, 0.0, 0.5, generator=rng)
            nn.init.zeros_(part.bias)
    made.background_nmgy.data[:] = background
    return made


def boxes(n=1, width=64, height=64, x=0, y=0, density=(1.5, 1.2), seed=7):
    first = np.zeros(n, np.int64)
    keys = keys_of(np.full(n, seed, np.uint64), np.arange(n))
    return Boxes(keys, first + x, first + y, width, height, np.tile(np.array([density], float), (n, 1)))
