"""The paper's generator and discriminator: a strided convolutional pair (rows P2 and P3 of its description).

Both work on stretched tiles [N, bands, size, size] in [-1, 1] and scale with `width`, the channels next to the image.
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from skygen.gan.dropout import discard

_FIRST = 4  # px, side of the smallest feature map
_LEAK = 0.2  # the paper's alpha
_BATCH_NORM_MOMENTUM = 0.1


def _channels(size: int, width: int) -> list[int]:
    """Channels of the feature maps from the smallest (4 px) to the largest (size / 2 px), halving at each doubling."""
    doublings = int(math.log2(size // _FIRST))
    return [width * 2**level for level in reversed(range(doublings))]


def _norm(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels, momentum=_BATCH_NORM_MOMENTUM), nn.ReLU(inplace=True)


class Generator(nn.Module):
    """Latents [N, latent_size] → stretched tiles [N, bands, size, size] in (-1, 1).

    Transposed convolutions, batch norm after every one but the last, ReLU, tanh at the end.
    """

    def __init__(self, size: int, bands: int, width: int, latent_size: int) -> None:
        super().__init__()
        channels = _channels(size, width)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, channels[0], _FIRST, 1, 0, bias=False)]
        for narrow, wide in pairwise(channels):
            layers += [*_norm(narrow), nn.ConvTranspose2d(narrow, wide, 4, 2, 1, bias=False)]
        layers += [*_norm(channels[-1]), nn.ConvTranspose2d(channels[-1], bands, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Stretched tiles of the latents."""
        images: torch.Tensor = self.layers(latents[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """Stretched tiles [N, bands, size, size] and a dropout rate → logits [N].

    Strided convolutions; after every one but the last: batch norm, Leaky-ReLU, dropout. The last layer's logit passes a
    Leaky-ReLU of slope `logit_slope` too, as the paper prints; a slope of 1 leaves it raw.
    """

    def __init__(self, size: int, bands: int, width: int, logit_slope: float) -> None:
        super().__init__()
        channels = [bands, *reversed(_channels(size, width))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, 2, 1, bias=False) for narrow, wide in pairwise(channels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide, momentum=_BATCH_NORM_MOMENTUM) for wide in channels[1:])
        self.last = nn.Conv2d(channels[-1], 1, _FIRST, 1, 0)
        self.logit_slope = logit_slope

    def forward(self, images: torch.Tensor, dropout: float) -> torch.Tensor:
        """Logits of the images; `dropout` counts in training mode alone."""
        features = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = functional.leaky_relu(norm(convolution(features)), _LEAK)
            features = discard(features, dropout) if self.training else features
        return functional.leaky_relu(self.last(features).flatten(), self.logit_slope)


def initialise(network: nn.Module, distribution: str, std: float, generator: torch.Generator) -> None:
    """Draw every convolution's weights with standard deviation `std`: `normal`, or `uniform` on ±√3·std.

    Batch norm starts as the identity and offsets at zero, so that the two distributions alone differ.
    """
    bound = math.sqrt(3) * std
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if distribution == "normal":
                nn.init.normal_(module.weight, 0.0, std, generator=generator)
            else:
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
