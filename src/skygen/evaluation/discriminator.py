"""A training's discriminator as a function of tiles in flux."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skygen.measure.metric import Tiles
from skygen.sky.stretch import Stretch

_BATCH = 64


def logits_of(
    discriminator: nn.Module, stretch: Stretch, device: torch.device
) -> Callable[[Tiles], NDArray[np.floating]]:
    """A function from tiles [N, bands, H, W] in nmgy to the discriminator's logits [N], without dropout."""
    discriminator = discriminator.to(device).eval()

    def logits(tiles: Tiles) -> NDArray[np.floating]:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(tiles), _BATCH):
                images = torch.from_numpy(stretch.stretch(np.asarray(tiles[start : start + _BATCH], dtype=np.float32)))
                parts.append(discriminator(images.to(device), 0.0).cpu())
        return np.asarray(torch.cat(parts).numpy())

    return logits
