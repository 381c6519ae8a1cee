"""A training's discriminator as a function of tiles in flux."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skygen.measure.table import Tiles
from skygen.sky.stretch import Stretch

_BATCH = 64


def judge(discriminator: nn.Module, stretch: Stretch, device: torch.device) -> Callable[[Tiles], NDArray[np.floating]]:
    """A function from tiles [N, bands, H, W] in nmgy to the discriminator's logits [N], without dropout."""
    discriminator = discriminator.to(device).eval()

    def logits(tiles: Tiles) -> NDArray[np.floating]:
        images = torch.from_numpy(stretch.stretch(np.asarray(tiles, dtype=np.float32)))
        with torch.inference_mode():
            parts = [discriminator(batch.to(device), 0.0).cpu() for batch in torch.split(images, _BATCH)]
        return np.asarray(torch.cat(parts).numpy())

    return logits
