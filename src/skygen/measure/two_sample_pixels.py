"""`c2st.pixels`: the share of tiles that a small convolutional network puts right, generated or real.

The classifier two-sample test of Lopez-Paz & Oquab 2017 (arXiv:1610.06545) on pixels: it finds whatever there is to
find. So it saturates: near 1 for every generator that paints its noise wrongly, a fault that is in every pixel and that
no eye sees. Read it as a warning about noise and fine structure; it ranks only generators that pass that.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic
from skygen.measure.two_sample_features import Answers, judged

MOST_TILES = 1000  # of each set
SOFTENING_NMGY = 0.03  # of the asinh stretch: the survey's sky noise, which so gets a spread of about 1
_WIDTHS, _KERNEL_PX = (8, 16, 32), 5
_BATCH, _RATE = 32, 1e-2
_LEAST_STEPS = 100
_TILES_A_STEP = 2  # beyond: a step for every two tiles, that is 16 passes over them


def describe(tiles: NDArray[np.floating]) -> NDArray[np.floating]:
    """The tiles [N, bands, H, W] in nmgy that are looked at, the first 1,000: a copy, which keeps no more in memory."""
    return tiles[:MOST_TILES].copy() if len(tiles) > MOST_TILES else tiles


def relate(fake: NDArray[np.floating], real: NDArray[np.floating], seed: int) -> Statistic:
    """The statistic of two sets of tiles: of `judged`, of at least 4 tiles each.

    Each half of both sets is judged by a network trained on the other half. Each is trained on one thread, from `seed`
    alone: the same seed gives the same values whatever else runs.
    """
    return judged("c2st.pixels", partial(_answers, seed=seed), fake, real)


def _answers(fake: NDArray[np.floating], real: NDArray[np.floating], seed: int) -> tuple[Answers, Answers]:
    if min(len(fake), len(real)) < 4:
        raise ValueError(f"{len(fake)} and {len(real)} tiles; a network needs at least 4 of each set")
    images = stretch(fake, real)
    is_real = torch.arange(len(images)) >= len(fake)
    in_first = first_half(len(fake), len(real), seed)

    def right(train: torch.Tensor, offset: int) -> torch.Tensor:
        torch.set_num_threads(1)  # of this thread alone, which is the pool's
        generator = torch.Generator().manual_seed(seed + offset)
        network = fit(images, is_real, train, generator)
        return (logits(network, images, ~train) > 0) == is_real[~train]

    answers = torch.empty(len(images), dtype=torch.float64)
    with ThreadPoolExecutor(2) as pool:
        for train, found in zip((in_first, ~in_first), pool.map(right, (in_first, ~in_first), (1, 2)), strict=True):
            answers[~train] = found.double()
    return answers[: len(fake)].numpy(), answers[len(fake) :].numpy()


def stretch(fake: NDArray[np.floating], real: NDArray[np.floating]) -> torch.Tensor:
    """What the networks see [N, bands, H, W]: asinh of the fluxes over `SOFTENING_NMGY`, generated tiles first."""
    tiles = np.concatenate([fake, real], dtype=np.float32)
    tiles /= SOFTENING_NMGY
    return torch.from_numpy(np.arcsinh(tiles, out=tiles))


def first_half(fakes: int, reals: int, seed: int) -> torch.Tensor:
    """Whether each tile is in the first of two random halves, of which each holds half of both sets."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randperm(number, generator=generator) % 2 == 0 for number in (fakes, reals)])


def fit(images: torch.Tensor, is_real: torch.Tensor, train: torch.Tensor, generator: torch.Generator) -> nn.Module:
    """A network trained to give `is_real` for the images of `train`, with as many of either in each batch."""
    network = _network(images.shape[1], generator).train()
    sets = [torch.nonzero(train & (is_real == kind)).flatten() for kind in (False, True)]
    steps = max(_LEAST_STEPS, int(train.sum()) // _TILES_A_STEP)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.2)
    orders = [_passes(of_set, steps * _BATCH // 2, generator) for of_set in sets]
    for rows in torch.cat([order.reshape(steps, -1) for order in orders], dim=1):
        orientations = torch.randint(8, (len(rows),), generator=generator).tolist()
        turned = torch.stack([_turn(image, number) for image, number in zip(images[rows], orientations, strict=True)])
        loss = binary_cross_entropy_with_logits(network(turned)[:, 0], is_real[rows].float())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def logits(network: nn.Module, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """What a network says of the chosen images: above 0 for real."""
    with torch.inference_mode():
        rows = torch.split(torch.nonzero(chosen).flatten(), _BATCH)
        return torch.cat([network(images[part])[:, 0] for part in rows])


def _network(bands: int, generator: torch.Generator) -> nn.Sequential:
    """Strided convolutions, whose mean over the image decides: a fault has to be in many places or a strong one."""
    layers: list[nn.Module] = []
    for inputs, width in pairwise((bands, *_WIDTHS)):
        convolution = nn.Conv2d(inputs, width, _KERNEL_PX, stride=2, padding=_KERNEL_PX // 2, device="meta")
        layers += [convolution, nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
    decision = nn.Linear(_WIDTHS[-1], 1, device="meta")
    for layer in (*layers, decision):  # without torch's own draws, which would move the generator that all share
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to_empty(device="cpu")
            nn.init.kaiming_normal_(layer.weight, 0.2, generator=generator)
            nn.init.zeros_(cast(torch.Tensor, layer.bias))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), decision)


def _passes(rows: torch.Tensor, number: int, generator: torch.Generator) -> torch.Tensor:
    """`number` of `rows`, pass after pass, each in a random order."""
    orders = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-number // len(rows)))]
    return torch.cat(orders)[:number]


def _turn(image: torch.Tensor, orientation: int) -> torch.Tensor:
    """`image` [bands, H, W] in one of its eight orientations: eight times as many tiles to learn from."""
    turned = torch.rot90(image, orientation % 4, (1, 2))
    return turned.flip(2) if orientation >= 4 else turned


def _measures(given: Given) -> list[Measure]:
    if given.seed is None:
        return []
    return [Measure(("c2st.pixels",), describe, partial(relate, seed=given.seed))]


METRIC = Metric(
    "perceptual",
    {
        "c2st.pixels": Meaning(
            0.5,
            "share of tiles that a small network puts right by their pixels, generated or real",
            "The hardest judge: it reaches 1 for every generator that paints its noise wrongly, however good the rest, "
            "and then no longer ranks.",
            "Lopez-Paz & Oquab 2017, arXiv:1610.06545",
            "square",
        ),
    },
    _measures,
)
