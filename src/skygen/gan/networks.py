"""The generator and the discriminator: a convolutional pair (rows P2 and P3 of the paper's description).

Both scale with `width`, the channels next to the image, and work on stretched tiles [N, bands, size, size] in [-1, 1].
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from skygen.gan.dropout import discard
from skygen.gan.recipes import ConvolutionalRecipe, Last, Norm, Resampling
from skygen.params import Section

_FIRST = 4  # px, least side of the smallest feature map
_LEAK = 0.2  # the paper's alpha
_BATCH_NORM_MOMENTUM = 0.1


class GeneratorShape(Section):
    """What a generator is made of: enough to load its weights."""

    kind: Literal["convolutional"]
    canvas: int  # px, side of its images
    bands: int
    width: int
    latent_size: int
    norm: Norm
    last: Last
    resampling: Resampling = "strided"  # what bundles have that were made before there was a choice


def generator_shape(recipe: ConvolutionalRecipe, size: int, bands: int, width: int) -> GeneratorShape:
    """The generator of `recipe` for tiles of `size` px."""
    return GeneratorShape(
        kind="convolutional",
        canvas=size,
        bands=bands,
        width=width,
        latent_size=recipe.latent_size,
        norm=recipe.generator_norm,
        last=recipe.last,
        resampling=recipe.resampling,
    )


def sides(canvas: int) -> list[int]:
    """The sides of the feature maps in px, from the smallest to the image's: halved while even and at least 4 px."""
    found = [canvas]
    while found[0] % 2 == 0 and found[0] // 2 >= _FIRST:
        found.insert(0, found[0] // 2)
    return found


def _channels(size: int, width: int) -> list[int]:
    """Channels of the feature maps from the smallest to that of half the image's side, halving at each doubling."""
    doublings = len(sides(size)) - 1
    return [width * 2**level for level in reversed(range(doublings))]


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, momentum=_BATCH_NORM_MOMENTUM) if norm == "batch" else nn.Identity()


def _softmax(image: torch.Tensor) -> torch.Tensor:
    """Softmax over the pixels of a band, times their number, less 1: so a band's mean is 0, and its least value -1."""
    pixels = image.flatten(2)
    return (pixels.softmax(-1) * pixels.shape[-1] - 1).view_as(image)


LAST: dict[Last, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softplus": functional.softplus,
    "softmax": _softmax,
}


def _strided_up(wide: int, narrow: int, offsets: bool) -> list[nn.Module]:
    return [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=offsets)]


def _repeated_up(wide: int, narrow: int, offsets: bool) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(wide, narrow, 3, 1, 1, bias=offsets)]


class Generator(nn.Module):
    """Latents [N, latent_size] → images [N, bands, canvas, canvas], in the range of the last activation.

    Transposed convolutions, or, where `resampling` is pooling, convolutions of the map that repeats each value four
    times; the first is a dense layer either way. ReLU, after batch norm where there is any, on all but the last; the
    last activation at the end: tanh in (-1, 1), relu at least 0, softplus above 0, softmax with a mean of 0 a band.
    """

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        first, channels, offsets = sides(shape.canvas)[0], _channels(shape.canvas, shape.width), shape.norm == "none"
        doubled = _strided_up if shape.resampling == "strided" else _repeated_up
        layers: list[nn.Module] = [nn.ConvTranspose2d(shape.latent_size, channels[0], first, 1, 0, bias=offsets)]
        for wide, narrow in pairwise(channels):
            layers += [_norm(shape.norm, wide), nn.ReLU(inplace=True)]
            layers += doubled(wide, narrow, offsets)
        layers += [_norm(shape.norm, channels[-1]), nn.ReLU(inplace=True)]
        layers += doubled(channels[-1], shape.bands, True)
        self.shape, self.layers, self.last = shape, nn.Sequential(*layers), LAST[shape.last]

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """The images of the latents."""
        return self.last(self.layers(latents[:, :, None, None]))


class Discriminator(nn.Module):
    """Stretched tiles [N, bands, size, size] and a dropout rate → logits [N]; of larger tiles, those of their patches.

    Strided convolutions, or, where `resampling` is pooling, convolutions and the largest of each four values; after
    every one but the last: batch norm where there is any, Leaky-ReLU, dropout. The last layer's logit passes a
    Leaky-ReLU of slope `logit_slope` too, as the paper prints; a slope of 1 leaves it raw.
    """

    def __init__(
        self,
        size: int,
        bands: int,
        width: int,
        norm: Norm,
        logit_slope: float,
        resampling: Resampling = "strided",
    ) -> None:
        super().__init__()
        channels = [bands, *reversed(_channels(size, width))]
        kernel, stride = (4, 2) if resampling == "strided" else (3, 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(narrow, wide, kernel, stride, 1, bias=norm == "none") for narrow, wide in pairwise(channels)
        )
        self.pool = nn.Identity() if resampling == "strided" else nn.MaxPool2d(2)
        self.norms = nn.ModuleList(_norm(norm, wide) for wide in channels[1:])
        self.last = nn.Conv2d(channels[-1], 1, sides(size)[0], 1, 0)
        self.logit_slope = logit_slope

    @property
    def judges(self) -> "Sequence[Judge]":
        """The networks that it is made of: itself, which looks at whole tiles."""
        return (Judge(self),)

    def forward(self, images: torch.Tensor, dropout: float | torch.Tensor) -> torch.Tensor:
        """Logits of the images; `dropout` counts in training mode alone."""
        features = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = functional.leaky_relu(norm(self.pool(convolution(features))), _LEAK)
            features = discard(features, dropout) if self.training else features
        return functional.leaky_relu(self.last(features).flatten(), self.logit_slope)


def discriminator_of(recipe: ConvolutionalRecipe, size: int, bands: int, width: int) -> Discriminator:
    """The discriminator of `recipe` for tiles of `size` px."""
    return Discriminator(size, bands, width, recipe.discriminator_norm, recipe.logit_slope, recipe.resampling)


class Judge(NamedTuple):
    """One network of a discriminator, and what it looks at."""

    network: Discriminator
    look: Callable[[torch.Tensor], torch.Tensor] = lambda tiles: tiles  # tiles [N, ...] → what it sees [M, ...]
    most_a_tile: int | None = None  # of what it sees; None: as many of each, so that real and fake ones make pairs


def initialise(network: nn.Module, distribution: str, std: float | None, generator: torch.Generator) -> None:
    """Draw every convolution's weights with standard deviation `std`: `normal`, or `uniform` on ±√3·std.

    None gives each layer the one that keeps its features' variance (He et al. 2015, arXiv:1502.01852, eq. 10). Batch
    norm starts as the identity and offsets at zero, so that the two distributions alone differ.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            spread = std or math.sqrt(2 / _inputs(module))
            if distribution == "normal":
                nn.init.normal_(module.weight, 0.0, spread, generator=generator)
            else:
                nn.init.uniform_(module.weight, -math.sqrt(3) * spread, math.sqrt(3) * spread, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _inputs(layer: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """How many products make one of the layer's outputs: a transposed convolution's are spread over its strides."""
    spread = math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else 1
    pixels = 1 if isinstance(layer, nn.ConvTranspose2d) and layer.padding == (0, 0) else math.prod(layer.kernel_size)
    return layer.in_channels * pixels / spread
