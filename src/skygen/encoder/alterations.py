"""Real tiles altered in one known way: what the encoder learns from, and what distances between sets of tiles must see.

Each alteration changes one thing and leaves the rest as the survey has it: a wider PSF does not smooth the noise,
quieter noise does not dim the sources. So that a size means the same in every tile, it is relative to the tile's own
noise, PSF and light.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from skygen.encoder.blur import blurred, filtered, transfer
from skygen.measure.pixels import STRETCH
from skygen.sky.noise import sky_noise

NMGY_PER_ELECTRON = 0.001  # of the survey's bands g, r and i to 30 %: how loud the photon noise of sources is
FWHM_TO_SIGMA = 1 / math.sqrt(8 * math.log(2))  # of a Gaussian
SEED_SIGMA, EDGE_SIGMA = 5.0, 1.5  # a source's brightest pixel and its faintest, over the noise of the smoothed tile
_SMOOTHING_PX, _FADE_PX = 3, 5  # sides of the boxes that smooth a tile before sources are sought, and a mask's edge
LATTICE_PX = 16  # from one point to the next; the first is half as far from the tile's edge
_LEAST_SKY = 0.1  # share of a tile: where sources leave less, none is removed

Alter = Callable[["Sample", float, np.random.Generator], torch.Tensor]


class Sample(NamedTuple):
    """N tiles to be altered, and what was found in them once."""

    tiles: torch.Tensor
    """[N, bands, H, W] in nmgy."""
    psf_fwhm_px: torch.Tensor
    """[N, bands, 1, 1]"""
    sources: torch.Tensor
    """[N, 1, H, W]: whether a pixel belongs to a source, in any band."""
    share: torch.Tensor
    """[N, 1, H, W] from 0 to 1: the same with an edge that fades."""
    sky: torch.Tensor
    """[N, bands, 1, 1]: the median outside the sources, in nmgy."""
    noise: torch.Tensor
    """[N, bands, 1, 1]: the standard deviation of white noise, in nmgy."""


@dataclass(frozen=True)
class Alteration:
    """One way to alter tiles, and the size at which a distance should see it."""

    caption: str
    size: float
    alter: Alter
    learnt: bool = True  # whether the encoder's training shows it such alterations


def sample_of(tiles: NDArray[np.floating], psf_fwhm_px: NDArray[np.floating]) -> Sample:
    """What alterations need to know of `tiles` [N, bands, H, W] in nmgy whose PSFs are `psf_fwhm_px` [N, bands]."""
    flux = torch.from_numpy(np.asarray(tiles, dtype=np.float32))
    noise = torch.from_numpy(sky_noise(np.diff(tiles, axis=-1)) / math.sqrt(2)).float()[:, :, None, None]
    found = _sources(flux / noise.clamp(min=1e-6))
    outside = flux.masked_fill(found, float("nan"))
    sky = outside.flatten(2).nanmedian(-1).values.nan_to_num()[:, :, None, None]
    fwhm = torch.from_numpy(np.asarray(psf_fwhm_px, dtype=np.float32))[:, :, None, None]
    share = functional.avg_pool2d(found.float(), _FADE_PX, 1, _FADE_PX // 2, count_include_pad=False)
    return Sample(flux, fwhm, found, share, sky, noise)


def louder_noise(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """The tiles with 1 + `size` times the noise; where `size` is negative, it is quieter outside the sources alone."""
    if size < 0:
        return sample.tiles + size * (1 - sample.share) * (sample.tiles - sample.sky)
    return sample.tiles + math.sqrt((1 + size) ** 2 - 1) * sample.noise * _draws(sample.tiles, rng)


def wider_psf(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """The tiles as a PSF with 1 + `size` times the FWHM would have shown them, under noise as loud and white as before.

    A Gaussian takes a Gaussian PSF to the wider one. What it takes from white noise, at each spatial frequency,
    is given back by fresh noise; over sources that includes their photons'.
    """
    return _broadened(sample, _wider(sample, size), sample.noise, NMGY_PER_ELECTRON, rng)


def elongated_psf(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """As `wider_psf`, but along the rows alone: round sources are drawn out by 1 + `size`."""
    return _broadened(sample, _wider(sample, size), sample.noise, NMGY_PER_ELECTRON, rng, rows=False)


def degraded(
    sample: Sample,
    fwhm_px: torch.Tensor,
    noise_nmgy: torch.Tensor,
    nmgy_per_electron: torch.Tensor,
    own_noise_nmgy: torch.Tensor,
    own_nmgy_per_electron: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """The tiles as if observed with a PSF of `fwhm_px` and under `noise_nmgy`, all conditions [N, bands, 1, 1].

    Flux stays, and noise is white: what a Gaussian takes that widens the PSF is given back as in `wider_psf`, and the
    sky's and the sources' photons are added up to the louder level. The Gaussian's variance is what those of the two
    FWHMs differ by: where a PSF is to be a fifth wider, a Gaussian one comes out 2 % too narrow and a Moffat one of
    beta 3 2 % too wide. Nothing is sharpened or made quieter: a wider PSF and louder noise stay as they are.
    """
    sigma = FWHM_TO_SIGMA * (fwhm_px**2 - sample.psf_fwhm_px**2).clamp(min=0).sqrt()
    wide = _broadened(sample, sigma, own_noise_nmgy, own_nmgy_per_electron, rng)
    light = blurred(_light(sample), sigma)
    missing = noise_nmgy**2 - own_noise_nmgy**2 + (nmgy_per_electron - own_nmgy_per_electron) * light
    return wide + missing.clamp(min=0).sqrt() * _draws(wide, rng)


def brighter(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:  # noqa: ARG001
    """The tiles with 1 + `size` times the sources' flux, on the same sky."""
    return sample.tiles + size * sample.share * (sample.tiles - sample.sky)


def swapped_colours(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:  # noqa: ARG001
    """The tiles with the first and the last band's light exchanged inside the sources: wholly at `size` 1."""
    light = sample.share * (sample.tiles - sample.sky)
    exchanged = sample.tiles.clone()
    exchanged[:, 0] += size * (light[:, -1] - light[:, 0])
    exchanged[:, -1] += size * (light[:, 0] - light[:, -1])
    return exchanged


def fewer_sources(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """The tiles with `size` sources fewer, as far as they have them: of a half, every other tile loses one.

    A random source's pixels, and those of whatever touches it, are replaced by pixels drawn from the tile's own sky.
    """
    tiles, left = sample.tiles.clone(), sample.sources.clone()
    due = (np.arange(len(tiles)) + 0.5) / len(tiles)
    number = math.floor(size) + (rng.permutation(due) < size - math.floor(size))
    for lost in range(math.ceil(size)):
        is_lost = _one_source(left, rng) & torch.from_numpy(number > lost)[:, None, None, None]
        left &= ~is_lost
        _fill(tiles, is_lost, sample.sources, rng)
    return tiles


def checkerboard(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:  # noqa: ARG001
    """The tiles with pixels raised and lowered in turn, `size` of the stretched range between the two."""
    rows, columns = (torch.arange(length) for length in sample.tiles.shape[-2:])
    return _patterned(sample.tiles, size * (1 - 2.0 * ((rows[:, None] + columns) % 2)))


def grid(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:  # noqa: ARG001
    """The tiles with a bright line every eighth row and column, `size` of the stretched range above the rest."""
    rows, columns = (torch.arange(length) % 8 == 0 for length in sample.tiles.shape[-2:])
    return _patterned(sample.tiles, 2 * size * (rows[:, None] | columns).float())


def wave(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """The tiles with a plane wave of a random direction and length each, `size` of the stretched range high."""
    height, width = sample.tiles.shape[-2:]
    cycles = torch.from_numpy(rng.uniform(-0.5, 0.5, (3, len(sample.tiles), 1, 1, 1)).astype(np.float32))
    phase = cycles[0] * torch.arange(height)[:, None] + cycles[1] * torch.arange(width) + cycles[2]
    return _patterned(sample.tiles, size * math.sqrt(2) * torch.cos(2 * math.pi * phase))


def correlated_noise(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:  # noqa: ARG001
    """The tiles with noise as loud as before, but outside the sources `size` of a pixel's is its left neighbour's."""
    noise = (1 - sample.share) * (sample.tiles - sample.sky)
    return sample.tiles - noise + (noise + size * noise.roll(1, -1)) / math.sqrt(1 + size**2)


def lattice(sample: Sample, size: float, rng: np.random.Generator) -> torch.Tensor:
    """The tiles, of which a share `size` is rolled so that the brightest source comes to a point of a 16 px lattice.

    The point is the nearest one, so that a tile moves by half of 16 px at most. Tiles without a source stay.
    """
    bands = sample.tiles / sample.noise.clamp(min=1e-6)
    smooth = functional.avg_pool2d(bands.sum(1), _SMOOTHING_PX, 1, _SMOOTHING_PX // 2, count_include_pad=False)
    brightest = smooth.masked_fill(~sample.sources[:, 0], -math.inf).flatten(1).argmax(1).numpy()
    chosen = rng.permutation(len(brightest)) < round(size * len(brightest))
    tiles = sample.tiles.clone()
    for index in np.flatnonzero(chosen & sample.sources.flatten(1).any(1).numpy()):
        place = np.array(np.unravel_index(brightest[index], smooth.shape[1:]))
        shift = LATTICE_PX // 2 - place % LATTICE_PX
        tiles[index] = tiles[index].roll(tuple(shift.tolist()), (-2, -1))
    return tiles


# What metrics must see: the encoder all but the lattice, for which there is `sources.places`. In tables each comes at
# these sizes and at parts and multiples of them.
PLANTED = {
    "wider_psf": Alteration("PSF 10 % wider", 0.1, wider_psf),
    "quieter_noise": Alteration("noise 10 % lower", -0.1, louder_noise),
    "brighter": Alteration("flux 5 % higher", 0.05, brighter),
    "swapped_colours": Alteration("colours swapped", 1.0, swapped_colours),
    "fewer_sources": Alteration("one source fewer a tile", 1.0, fewer_sources),
    "checkerboard": Alteration("checkerboard of 2 % of the stretched range", 0.02, checkerboard),
    "elongated_psf": Alteration("PSF 10 % wider along the rows", 0.1, elongated_psf, learnt=False),
    "correlated_noise": Alteration("noise shared with a neighbour, 10 %", 0.1, correlated_noise, learnt=False),
    "grid": Alteration("lines every 8 px of 2 % of the stretched range", 0.02, grid, learnt=False),
    "lattice": Alteration("sources on a lattice, 25 % of the tiles", 0.25, lattice, learnt=False),
}


def planted(bands: int) -> dict[str, Alteration]:
    """The planted alterations that tiles with so many bands allow: one band has no colours."""
    return {name: alteration for name, alteration in PLANTED.items() if bands > 1 or name != "swapped_colours"}


def _sources(bands: torch.Tensor) -> torch.Tensor:
    """Whether a pixel of tiles [N, bands, H, W], in units of their noise, belongs to a source [N, 1, H, W].

    Pixels over the edge's level that hang together with one over the seed's, and two pixels around them.
    """
    smooth = functional.avg_pool2d(bands.sum(1, True), _SMOOTHING_PX, 1, _SMOOTHING_PX // 2, count_include_pad=False)
    smooth = smooth - smooth.flatten(1).median(dim=1).values[:, None, None, None]
    noise = torch.from_numpy(sky_noise(smooth.numpy())).float()[:, :, None, None]
    found = _grow(smooth > SEED_SIGMA * noise, smooth > EDGE_SIGMA * noise)
    return functional.max_pool2d(found.float(), 5, 1, 2) > 0


def _grow(seeds: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The pixels of `inside` that hang together with `seeds`, by sides or corners."""
    found = seeds & inside
    while True:
        grown = (functional.max_pool2d(found.float(), 3, 1, 1) > 0) & inside
        if bool((grown == found).all()):
            return found
        found = grown


def _one_source(sources: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The pixels of one random source of each tile; none where a tile has no source."""
    order = torch.from_numpy(rng.random(tuple(sources.shape), dtype=np.float32)).masked_fill(~sources, 0)
    first = order.flatten(1).max(dim=1).values[:, None, None, None]
    return _grow((order == first) & sources, sources)


def _fill(tiles: torch.Tensor, lost: torch.Tensor, sources: torch.Tensor, rng: np.random.Generator) -> None:
    """Replace the pixels `lost` of each tile, in all bands, by pixels drawn from its sky."""
    for tile, gone, of_sources in zip(tiles.flatten(2), lost.flatten(1), sources.flatten(1), strict=True):
        sky = (~of_sources).nonzero()[:, 0]
        if gone.any() and len(sky) >= _LEAST_SKY * len(gone):
            drawn = rng.integers(len(sky), size=int(gone.sum()))
            tile[:, gone] = tile[:, sky[torch.from_numpy(drawn)]]


def _patterned(tiles: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    """The tiles with a pattern added to their stretched values."""
    stretched = STRETCH.stretch(tiles)
    return tiles + STRETCH.unstretch(stretched + pattern) - STRETCH.unstretch(stretched)


def _draws(like: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Standard normal draws of the shape of `like`."""
    return torch.from_numpy(rng.standard_normal(tuple(like.shape), dtype=np.float32))


def _wider(sample: Sample, size: float) -> torch.Tensor:
    """The standard deviation in px of what makes the PSFs wider by `size`, [N, bands, 1, 1]."""
    return sample.psf_fwhm_px * (FWHM_TO_SIGMA * math.sqrt((1 + size) ** 2 - 1))


def _broadened(
    sample: Sample,
    sigma: torch.Tensor,
    noise: torch.Tensor,
    nmgy_per_electron: torch.Tensor | float,
    rng: np.random.Generator,
    rows: bool = True,
) -> torch.Tensor:
    """The tiles broadened by a Gaussian of `sigma` px along the rows, and along the columns too where `rows`.

    Their noise is as loud and white as before: `noise`, and that of the sources' photons.
    """
    lost = (1 - transfer(sample.tiles, sigma, rows) ** 2).sqrt()  # of the amplitude of white noise
    loudness = (noise**2 + nmgy_per_electron * _light(sample)).sqrt()
    return blurred(sample.tiles, sigma, rows) + loudness * filtered(_draws(sample.tiles, rng), lost)


def _light(sample: Sample) -> torch.Tensor:
    """What the sources give to each pixel, in nmgy and never negative."""
    return (sample.share * (sample.tiles - sample.sky)).clamp(min=0)
