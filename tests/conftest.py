"""What tests of several rooms are made of: the shipped recipes, frames on disk, tile stores and bundles."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from skygen import bundle
from skygen.gan.networks import Generator, initialise
from skygen.gan.recipes import read_recipes
from skygen.params import load
from skygen.sky.field import parse_frame_name
from skygen.tiles.split import SPLITS
from skygen.tiles.store import ShardWriter, TileSetCard, TileStore, write_card

ROOT = Path(__file__).parents[1]
# The astrometry of a real frame, whose axes lie a quarter turn from north.
ASTROMETRY = {
    "RADECSYS": "ICRS",
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CRPIX1": 1025.0,
    "CRPIX2": 745.0,
    "CRVAL1": 336.664257327,
    "CRVAL2": -0.931558661381,
    "CD1_1": -5.4e-08,
    "CD1_2": 1.09953e-04,
    "CD2_1": 1.09986e-04,
    "CD2_2": 6.4e-09,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small lose by threads: on a busy machine waiting for each other takes ten times their work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def params():
    """The shipped parameters."""
    return load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def recipes(params):
    """The shipped recipes, by name."""
    return read_recipes(params.recipes)


@pytest.fixture(scope="session")
def frame_bytes():
    """A function: the bytes of a FITS file like the survey's, named `name`; None in `changes` leaves a key out."""

    def make(name, flux, **changes):
        band, field_id = parse_frame_name(name)
        stated = {"RUN": field_id.run, "CAMCOL": field_id.camcol, "FILTER": band, "BUNIT": "nanomaggy", "NMGY": 0.005}
        cards = {**stated, **ASTROMETRY, **changes}
        header = fits.Header([(key, value) for key, value in cards.items() if value is not None])
        stream = io.BytesIO()
        fits.PrimaryHDU(flux, header).writeto(stream)
        return stream.getvalue()

    return make


@pytest.fixture(scope="session")
def finish_store():
    """A function: the store in `folder` of what `writer` took, with a card for `size` px, `bands` and its fields."""

    def finish(folder, writer, name, size, bands, fields):
        writer.close()
        card = TileSetCard(
            name=name,
            size=size,
            bands=list(bands),
            softening_nmgy=0.2,
            limit_nmgy=100.0,
            pixel_scale_arcsec=0.396,
            fields=fields,
            survival=dict.fromkeys(SPLITS, 1.0),
            shards=writer.shards,
            data_hash=writer.data_hash(),
        )
        write_card(folder, card)
        return TileStore.open(folder)

    return finish


@pytest.fixture(scope="session")
def write_store(finish_store):
    """A function: the tile store in `folder` of tiles [N, bands, H, W] by split, each from the field of its split."""

    def write(folder, tiles):
        writer = ShardWriter(folder)
        for number, split in enumerate(SPLITS):
            rows = [{"run": 94, "camcol": 1, "field": number, "x": x, "y": 0} for x in range(len(tiles[split]))]
            writer.add(split, tiles[split], rows)
        _, bands, size, _ = tiles["train"].shape
        fields = {split: [f"94-1-{number}"] for number, split in enumerate(SPLITS)}
        return finish_store(folder, writer, "r64", size, "rgi"[:bands], fields)

    return write


@pytest.fixture(scope="session")
def write_bundle():
    """A function: a bundle in `folder` with a narrow generator of random weights drawn from `seed`; its card."""

    def write(folder, seed=0, **changes):
        values = {
            "tiles": "r64",
            "recipe": "gan",
            "seed": seed,
            "scale": "laptop",
            "row": {"logit_slope": 0.2},
            "size": 64,
            "bands": ["r"],
            "softening_nmgy": 0.2,
            "limit_nmgy": 100.0,
            "pixel_scale_arcsec": 0.396,
            "latent_size": 10,
            "latents": "normal",
            "width": 2,
            "iteration": 1,
            "images_seen": 32,
            "validation": {"validation_score": 2.0},
            "data_hash": "0" * 64,
            "commit": "unknown",
            "trained_at": "2026-11-23T12:00:00+00:00",
            "versions": {"torch": "2.13.0"},
        }
        card = bundle.Card(**{**values, **changes})
        generator = Generator(card.size, len(card.bands), card.width, card.latent_size)
        initialise(generator, "normal", 0.1, torch.Generator().manual_seed(seed))
        bundle.save(folder, generator.state_dict(), card)
        return card

    return write


@pytest.fixture
def noise_store(tmp_path, write_store):
    """A store of 24 training, 34 validation and 8 test tiles [1, 64, 64] of sky noise with a bright spot each."""
    rng = np.random.default_rng(0)

    def tiles(count):
        flux = rng.normal(0, 0.03, (count, 1, 64, 64))
        flux[np.arange(count), 0, *rng.integers(8, 56, (2, count))] += rng.uniform(1, 20, count)
        return flux.astype(np.float32)

    return write_store(tmp_path / "r64", {"train": tiles(24), "validation": tiles(34), "test": tiles(8)})
