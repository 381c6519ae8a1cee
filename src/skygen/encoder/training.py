"""The training of the feature encoder: to predict what is measured of tiles of the survey, as they are and altered.

Why altered ones: generated tiles lie outside of what the survey's are, and an encoder that saw no other noise than the
survey's need not notice another. What is predicted is measured on the altered tile itself, so that nothing is learnt
but to measure.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from skygen.cores import one_thread
from skygen.encoder import alterations, properties
from skygen.encoder.network import HISTORY, SYMMETRIES, Encoder, EncoderCard, Frozen, Network, save
from skygen.files import write_json
from skygen.params import EncoderParams, EncoderTraining
from skygen.tiles.dataset import turn
from skygen.tiles.store import TileStore
from skygen.workers import work_on

ALTERED = 2  # altered copies of each tile, beside the tile as it is
TIMES_SEEN = 6  # how often an example is drawn: from shorter trainings fewer tiles are measured
MOST_VALUES = 10**8  # of the tiles that are measured, whatever the scale: with their copies 2.5 GB at work
WHITENED_TILES = 1000  # whose features say what directions they have, and how long
LEAST_VARIANCE = 1e-4  # of a direction, over the largest: below it is rounding
_ITEM_TILES = 16  # altered alike, by one worker
_CHANCE = 0.35  # of each alteration in an altered copy
_FARTHEST = 5.0  # standard deviations, to which targets are clipped
_WARM_UP = 0.1  # share of the iterations in which the learning rate rises
_PSF_WEIGHT = 5.0  # of the PSF among the properties: faint sources tell it, in which it is easily missed
_HEAD = 64
_REPORTS = 20  # rows of history.json

# How far a training's alterations go, least and most; each tile has a few of them at random sizes.
_RANGES: dict[alterations.Alter, tuple[float, float]] = {
    alterations.wider_psf: (0.0, 0.35),
    alterations.brighter: (-0.3, 0.5),
    alterations.swapped_colours: (0.0, 1.0),
    alterations.fewer_sources: (0.0, 2.0),
    alterations.louder_noise: (-0.3, 0.4),
    alterations.wave: (0.0, 0.05),
}


class Examples(NamedTuple):
    """What the network learns from; `altered` says which are not as the survey has them."""

    tiles: torch.Tensor
    """[E, bands, H, W] float16 in nmgy."""
    measured: NDArray[np.float32]
    """[E, properties]"""
    altered: NDArray[np.bool_]
    """[E]"""


def train_encoder(folder: Path, store: TileStore, params: EncoderParams, training: EncoderTraining) -> Encoder:
    """The encoder trained on the training tiles of `store` and written to `folder`, which must exist.

    The same store and parameters give the same bits on the same kind of processor: it runs on the CPU, on one thread a
    process. Raises `ValueError` where `store` has fewer than two training tiles.
    """
    with one_thread():
        examples = make_examples(store, _tiles_for(training, store), params)
        network, history = fit(examples, store.card.bands, params, training)
        frozen = freeze(network, examples, params.features)
    card = EncoderCard(
        tiles=store.card.name,
        size=store.card.size,
        bands=store.card.bands,
        features=params.features,
        width=training.width,
        iterations=training.iterations,
        batch=training.batch,
        lr=params.lr,
        seed=params.seed,
        properties=properties.names(store.card.bands),
        train_fields=store.card.fields["train"],
        train_tiles=len(store.split("train")),
        data_hash=store.card.data_hash,
    )
    save(folder, frozen, card)
    write_json(folder / HISTORY, history)
    return Encoder.load(folder)


def make_examples(store: TileStore, tiles: int, params: EncoderParams) -> Examples:
    """Random training tiles, at most `tiles` of them, each as it is and altered, with what is measured of them."""
    count = len(store.split("train"))
    if count < 2:
        raise ValueError(f"{store.folder} has {count} training tiles; an encoder needs at least 2")
    chosen = np.random.default_rng(params.seed).permutation(count)[:tiles]
    items = list(enumerate(np.array_split(chosen, -(-len(chosen) // _ITEM_TILES))))
    work = partial(_examples_of, store.folder, params.seed)
    parts = list(work_on(items, work, None, "measuring tiles", "item"))
    tiles_, measured, altered = zip(*parts, strict=True)
    return Examples(torch.cat(tiles_), np.concatenate(measured), np.concatenate(altered))


def fit(
    examples: Examples, bands: Sequence[str], params: EncoderParams, training: EncoderTraining
) -> tuple[Network, list[dict[str, float]]]:
    """A network trained to predict the properties, and its mean squared error as the training went.

    Errors are in units of the properties' variance over the tiles that are not altered; a property that a tile lacks
    does not count.
    """
    generator = torch.Generator().manual_seed(params.seed)
    targets, counts = _targets(examples)
    counts = counts * _weights(bands)
    network = Network(examples.tiles.shape[1], training.width, params.features)
    head = nn.Sequential(
        nn.Linear(params.features, _HEAD), nn.LeakyReLU(0.2), nn.Linear(_HEAD, examples.measured.shape[1])
    )
    for module in (network, head):
        _initialise(module.train(), generator)
    seen = _looked_at(examples.tiles, network)
    weights = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(weights, lr=params.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, params.lr, training.iterations, pct_start=_WARM_UP)
    errors: list[float] = []
    for _ in tqdm(range(training.iterations), desc="training the encoder", unit="iteration"):
        drawn = torch.randint(len(targets), (training.batch,), generator=generator)
        symmetry = int(torch.randint(SYMMETRIES, (1,), generator=generator))
        predicted = head(network(turn(seen[drawn], symmetry).float()))
        error = ((predicted - targets[drawn]).square() * counts[drawn]).sum() / counts[drawn].sum().clamp(min=1)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        schedule.step()
        errors.append(float(error.detach()))
        if not np.isfinite(errors[-1]):
            raise ValueError(f"the encoder's training diverged after {len(errors)} iterations; lower encoder.lr")
    return network.eval(), _history(errors, training.batch)


def freeze(network: Network, examples: Examples, features: int) -> Frozen:
    """`network` with its features made white over tiles that are not altered: of mean 0, variance 1, uncorrelated.

    Directions in which real tiles hardly differ then count as much as others, and these are where small faults show.
    """
    frozen = Frozen(network, features).eval().requires_grad_(False)
    unaltered = examples.tiles[torch.from_numpy(~examples.altered)][:WHITENED_TILES]
    with torch.inference_mode():
        raw = torch.stack([frozen.raw(tile.float()) for tile in unaltered]).double()
    variance, directions = torch.linalg.eigh(torch.cov(raw.T))
    scale = variance.clamp(min=LEAST_VARIANCE * float(variance.max()) + 1e-12).sqrt()
    frozen.mean.copy_(raw.mean(0))
    frozen.directions.copy_(directions / scale)
    return frozen


def _tiles_for(training: EncoderTraining, store: TileStore) -> int:
    """How many tiles are measured: as many as the training has use for, at least two, and not more than fit."""
    fit_in = MOST_VALUES // (len(store.card.bands) * store.card.size**2)
    return min(fit_in, max(2, training.iterations * training.batch // (TIMES_SEEN * (1 + ALTERED))))


def _examples_of(
    folder: Path, seed: int, item: tuple[int, NDArray[np.int64]]
) -> tuple[torch.Tensor, NDArray[np.float32], NDArray[np.bool_]]:
    """The examples of the training tiles at some indices; the item's number and `seed` decide how they are altered."""
    number, indices = item
    store, rng = TileStore.open(folder), np.random.default_rng([seed, number])
    with one_thread():
        split = store.split("train")
        readouts = split.readouts()
        sample = alterations.sample_of(split.batch(indices), psf_of([readouts[index] for index in indices], store))
        samples = [sample, *(_altered(sample, rng) for _ in range(ALTERED))]
        tiles = torch.cat([part.tiles for part in samples]).half()
        psf_fwhm_px = torch.cat([part.psf_fwhm_px for part in samples])[:, :, 0, 0]
        measured = properties.measure(tiles.float(), psf_fwhm_px, store.card.bands)
    return tiles, measured, np.arange(len(tiles)) >= len(indices)


def psf_of(readouts: Sequence[str], store: TileStore) -> NDArray[np.float64]:
    """The FWHM in px of the PSF of tiles of these `readouts`, [N, bands]."""
    arcsec = [[band.psf_fwhm_arcsec for band in store.card.conditions[readout]] for readout in readouts]
    return np.array(arcsec) / store.card.pixel_scale_arcsec


def _altered(sample: alterations.Sample, rng: np.random.Generator) -> alterations.Sample:
    """The tiles under a few alterations of random sizes, one after the other."""
    for alter, (least, most) in _RANGES.items():
        has_colours = sample.tiles.shape[1] > 1
        if rng.random() < _CHANCE and (has_colours or alter is not alterations.swapped_colours):
            size = rng.uniform(least, most)
            sample = sample._replace(tiles=alter(sample, size, rng))
            if alter is alterations.wider_psf:
                sample = sample._replace(psf_fwhm_px=sample.psf_fwhm_px * (1 + size))
    return sample


def _targets(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """What is to be predicted [E, properties], in standard deviations of the tiles not altered, and what counts."""
    unaltered = examples.measured[~examples.altered].astype(np.float64)
    counts = np.isfinite(examples.measured)
    known = np.maximum(np.isfinite(unaltered).sum(0), 1)
    mean = np.nansum(unaltered, 0) / known
    spread = np.sqrt(np.nansum((unaltered - mean) ** 2, 0) / known) + 1e-6
    targets = np.clip((np.nan_to_num(examples.measured) - mean) / spread, -_FARTHEST, _FARTHEST)
    return torch.from_numpy(targets.astype(np.float32)), torch.from_numpy(counts.astype(np.float32))


def _looked_at(tiles: torch.Tensor, network: Network) -> torch.Tensor:
    """All tiles as the convolutions see them, float16: an arcsinh a pixel and iteration would take half of the time."""
    seen = torch.empty((len(tiles), *network.look(tiles[0]).shape), dtype=torch.float16)
    for part, flux in zip(torch.split(seen, _ITEM_TILES), torch.split(tiles, _ITEM_TILES), strict=True):
        part.copy_(network.look(flux.float()))
    return seen


def _weights(bands: Sequence[str]) -> torch.Tensor:
    return torch.tensor([_PSF_WEIGHT if name.startswith("psf.") else 1.0 for name in properties.names(bands)])


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew from `generator`, as He et al. 2015 (arXiv:1502.01852, eq. 10) have it."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=0.2, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _history(errors: Sequence[float], batch: int) -> list[dict[str, float]]:
    """Rows of iteration, tiles seen and the mean error since the last row."""
    parts = [part for part in np.array_split(np.array(errors), _REPORTS) if len(part)]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return [
        {"iteration": end, "images_seen": end * batch, "error": float(part.mean())}
        for end, part in zip(ends, parts, strict=True)
    ]
