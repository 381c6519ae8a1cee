"""The matched control: training tiles and held-out tiles under the worse conditions of the two.

Tiles of another field differ by their sky, and by the night they were taken in. Generated tiles are observed under the
held-out field's own conditions; so that other real tiles meet the same, each is paired with a held-out tile, and both
are broadened to the wider PSF of the two and brought to the louder noise, band by band; the training tiles get the sky
level of the others. What is left is what a
generator that is perfect on the training sky would get on this field.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.encoder.alterations import degraded, sample_of
from skygen.gan.camera import Conditions
from skygen.tiles.store import TileSplit, TileStore

_SLICE = 256  # tiles degraded at once


def both_worse(
    store: TileStore, held_out: TileSplit, train: TileSplit, chosen: NDArray[np.int64], seed: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The held-out tiles and as many training tiles, those `chosen` [N], in pairs: two arrays [N, bands, H, W] in nmgy.

    A tile's conditions are those of its readout. The same `seed` gives the same noise.
    """
    rng, readouts = np.random.default_rng(seed), train.readouts()
    pairs = [
        (held_out, np.arange(len(held_out)), _conditions(store, held_out.readouts())),
        (train, chosen, _conditions(store, [readouts[index] for index in chosen])),
    ]
    (*_, first), (*_, second) = pairs
    noise, electron, fwhm = (torch.maximum(*parts) for parts in zip(first[:3], second[:3], strict=True))
    common = Conditions(noise, electron, fwhm, first.sky_level_nmgy)
    real, other = (_degraded(split, rows, own, common, rng) for split, rows, own in pairs)
    return real, other


def _conditions(store: TileStore, readouts: Sequence[str]) -> Conditions:
    return Conditions.of_fields([store.card.conditions[name] for name in readouts], store.card.pixel_scale_arcsec)


def _degraded(
    split: TileSplit, rows: NDArray[np.int64], own: Conditions, worse: Conditions, rng: np.random.Generator
) -> NDArray[np.float32]:
    parts = []
    rise = (worse.sky_level_nmgy - own.sky_level_nmgy).numpy()[:, :, None, None]
    for places in torch.split(torch.arange(len(rows)), _SLICE):
        noise, electron, fwhm = (part[places][:, :, None, None] for part in worse[:3])
        own_noise, own_electron, _ = (part[places][:, :, None, None] for part in own[:3])
        tiles = split.batch(rows[places.numpy()]) + rise[places.numpy()]
        sample = sample_of(tiles, own.psf_fwhm_px[places].numpy())
        parts.append(degraded(sample, fwhm, noise, electron, own_noise, own_electron, rng).numpy())
    return np.concatenate(parts)
