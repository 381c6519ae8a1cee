"""Networks small enough to look at."""

import torch
from torch import nn

from skygen.gan.networks import Discriminator, Generator, GeneratorShape, initialise

SHAPES = [(64, 1, 4), (128, 3, 2), (64, 3, 3)]  # size, bands, width
LATENTS = 10


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shape(canvas=64, bands=1, width=4, **kind):
    values = {"kind": "convolutional", "norm": "batch", "last": "tanh", "latent_size": LATENTS, **kind}
    return GeneratorShape(canvas=canvas, bands=bands, width=width, **values)


def generator(size=64, bands=1, width=4, distribution="normal", std=0.02, seed=0, **kind):
    network = Generator(shape(size, bands, width, **kind))
    initialise(network, distribution, std, torch.Generator().manual_seed(seed))
    return network


def discriminator(
    size=64, bands=1, width=4, slope=0.2, distribution="normal", std=0.02, seed=0, norm="batch", resampling="strided"
):
    network = Discriminator(size, bands, width, norm, slope, resampling)
    initialise(network, distribution, std, torch.Generator().manual_seed(seed))
    return network


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
