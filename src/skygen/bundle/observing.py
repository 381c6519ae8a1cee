"""Under which conditions a bundle's tiles are observed: the survey's, and those that are asked for in their place."""

from collections.abc import Sequence

import numpy as np
import torch

from skygen.bundle.tile import OWN, SURVEY, Tile
from skygen.gan.camera import Conditions
from skygen.gan.card import Card
from skygen.gan.latents import Stream, tile_rng


def surveyed(card: Card, tiles: Sequence[Tile]) -> Conditions | None:
    """The conditions [n, bands] under which the survey sees `tiles`; None where the recipe paints its noise."""
    if card.conditions is None:
        return None
    drawn = [_choose(len(card.conditions), tile) for tile in tiles]
    fields = [tile.field or card.conditions[at] for tile, at in zip(tiles, drawn, strict=True)]
    if card.densities is None:
        return Conditions.of_fields(fields, card.pixel_scale_arcsec)
    own = [tile.field_density or card.densities[at] for tile, at in zip(tiles, drawn, strict=True)]
    offsets = torch.stack([_registration(tile, card.bands) for tile in tiles])
    return Conditions.of_fields(fields, card.pixel_scale_arcsec, own)._replace(offset_px=offsets)


def asked(card: Card, survey: Conditions, tiles: Sequence[Tile]) -> Conditions:
    """The conditions `survey` of `tiles` with the noise, seeing and density that are asked for."""
    found = survey
    if found.density is not None and any(tile.density != OWN for tile in tiles):
        found = found._replace(density=found.density * torch.tensor([tile.density for tile in tiles]))
    if any(tile.noise != SURVEY for tile in tiles):
        in_r = found.sky_noise_nmgy[:, card.bands.index("r")]
        found = found.exposed(torch.stack([_factor(tile, level) for tile, level in zip(tiles, in_r, strict=True)]))
    if any(tile.seeing != SURVEY for tile in tiles):
        fwhm = found.psf_fwhm_px.clone()
        for place, tile in enumerate(tiles):
            if tile.seeing != SURVEY:
                fwhm[place] = tile.seeing / card.pixel_scale_arcsec
        found = found._replace(psf_fwhm_px=fwhm)
    return found


def _factor(tile: Tile, sky_noise_nmgy: torch.Tensor) -> torch.Tensor:
    """How many times as much noise [1] as the survey's of `sky_noise_nmgy` in r the tile is to have."""
    if isinstance(tile.noise, str):
        return torch.ones(1) if tile.noise == SURVEY else torch.zeros(1)
    return (tile.noise / sky_noise_nmgy).reshape(1)


def _choose(count: int, tile: Tile) -> int:
    """Under which of `count` fields' conditions a tile is observed."""
    return int(tile_rng(tile.seed, tile.index, Stream.CONDITIONS).integers(count))


def _registration(tile: Tile, bands: Sequence[str]) -> torch.Tensor:
    """What whole-pixel registration on r leaves of a tile's other bands [bands, 2], in px: even over a pixel."""
    even = tile_rng(tile.seed, tile.index, Stream.REGISTRATION).uniform(-0.5, 0.5, (len(bands), 2))
    even[[band == "r" for band in bands]] = 0
    return torch.from_numpy(even.astype(np.float32))
