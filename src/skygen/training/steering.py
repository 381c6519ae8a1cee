"""What of a process is set by plain measurements of its tiles beside real ones, and not by the game.

How many faint objects there are, and the light of those that no survey sees: the game moves both slowly, since a
discriminator tells a few sources too many from chance only over many tiles, and they are degenerate with what it does
see. A count and a median are no worse for being plain. Field by field the number of bright objects is measured, so that
nothing else is free.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from skygen.gan.judges import Judges
from skygen.process.generator import Process
from skygen.process.law import KNOTS_MAG
from skygen.sky.conditions import DENSITY_MAG
from skygen.sky.stretch import Stretch
from skygen.training.distributed import Team

# Peaks are counted between these heights over the noise: of stars in the survey's r, near 22.8, 22.2, 21.5, 20.7 mag.
BINS_SIGMA = (4.0, 7.0, 14.0, 28.0)
# Which counts move which knots of the law (fainter than its density's magnitude, here 22, 23.5 and 25.5): the last one
# goes with the one before, since none of its objects makes a peak. The brightest bin is the field's own density's.
PULLS = ((0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
MEMORY = 32  # iterations over which counts are averaged
COUNTS_STEP = 0.01  # of a knot at each iteration, as share of the difference in dex
LIGHT_STEP = 0.05  # of the light at each iteration, as share of the difference of medians
_FEW = 0.02  # peaks a tile, added to both counts


class Steering:
    """Steers one process by the peaks that its judges find; keeps running means of these a tile, by bin."""

    def __init__(self, process: Process, judges: Judges, stretch: Stretch) -> None:
        self._process, self._judges, self._stretch = process, judges, stretch
        self.counts = process.background_nmgy.new_zeros(2, len(BINS_SIGMA))  # of real and of generated tiles
        self.batches = self.counts.new_zeros(())  # that are in them

    def steer(self, real: torch.Tensor, fake: torch.Tensor, team: Team) -> None:
        """Move the law's faint end and the undetected light by stretched tiles [N, bands, H, W] of all processes."""
        with torch.no_grad():
            counts = team.mean(torch.stack([_counts(self._judges.heights(tiles)) for tiles in (real, fake)]))
            medians = team.mean(self._stretch.unstretch(torch.stack([_medians(tiles) for tiles in (real, fake)])))
            self.batches += 1
            self.counts.lerp_(counts, 1 / self.batches.clamp(max=MEMORY))
            self._process.background_nmgy += LIGHT_STEP * (medians[1] - medians[0])
            missing = ((self.counts[0] + _FEW) / (self.counts[1] + _FEW)).log10()
            faint = KNOTS_MAG.index(DENSITY_MAG) + 1
            self._process.law.log_counts[:, faint:] += COUNTS_STEP * (missing.new_tensor(PULLS) @ missing)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What a resumed training needs of it."""
        return {"counts": self.counts, "batches": self.batches}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from `state`."""
        self.counts.copy_(state["counts"])
        self.batches.copy_(state["batches"])


def steering_of(generator: nn.Module, discriminator: nn.Module, stretch: Stretch) -> Steering | None:
    """What steers a process; None of other generators."""
    if isinstance(generator, Process) and isinstance(discriminator, Judges):
        return Steering(generator, discriminator, stretch)
    return None


def _counts(heights: torch.Tensor) -> torch.Tensor:
    """Peaks a tile in each bin."""
    in_bins = [((heights >= low) & (heights < high)).sum() for low, high in pairwise([*BINS_SIGMA, math.inf])]
    return torch.stack(in_bins) / len(heights)


def _medians(tiles: torch.Tensor) -> torch.Tensor:
    """The mean over tiles [N, bands, H, W] of the median of each band's pixels [bands]."""
    return tiles.flatten(2).median(-1).values.mean(0)
