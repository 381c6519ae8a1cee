"""`discriminator_accuracy`: what GAN code of 2018 printed, the discriminator's own share of right answers.

0.5 is the game's equilibrium, so higher is not better. It reads a logit above 0 as "real", which a Jensen-Shannon
discriminator means; the score of a Wasserstein critic has no zero, and its value here says little.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skygen.measure.metric import Meaning, Measure, Metric, Tiles, by_weights


def summarise(logits: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares of tiles with a logit above 0 and below 0, [2]; `weights` [N] says how often each tile counts."""
    return np.asarray(np.stack([logits > 0, logits < 0]) @ weights / weights.sum())


def compare(fake: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """The balanced accuracy: the mean of the real tiles' share above 0 and the fake tiles' share below 0."""
    return float((real[0] + fake[1]) / 2)


def measure(logits: Callable[[Tiles], NDArray[np.floating]]) -> Measure:
    """The accuracy by `logits`, which takes tiles in nmgy to the discriminator's [N]."""
    (key,) = METRIC.meanings
    return Measure((key,), logits, by_weights(key, summarise, compare))


METRIC = Metric(
    "game",
    {
        "discriminator_accuracy": Meaning(
            0.5,
            "the discriminator's own accuracy; 0.5 is equilibrium, higher not better",
            "What GAN code of 2018 printed; it says how the game stands between two networks, not how good the tiles "
            "are.",
        ),
    },
    lambda given: [measure(given.logits)] if given.logits else [],
)
