"""What tests of several rooms are made of: the shipped recipes, frames on disk, tile stores and bundles."""

import gc
import io
import json
import math
import os
import subprocess
import sys
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.wcs import WCS

from skygen.cores import cores
from skygen.gan import card as cards
from skygen.gan.networks import Generator, generator_shape, initialise
from skygen.gan.recipes import ConvolutionalRecipe, read_recipe, read_recipes
from skygen.params import load
from skygen.process.generator import Process, ProcessShape
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.field import parse_frame_name
from skygen.sky.frame import SHAPE
from skygen.sky.frame_file import keep_significant_bits
from skygen.sky.frame_format import FullFrame, sky_shape, write_frame
from skygen.sky.readout import field_of, readout
from skygen.tiles.store import SPLITS, Survival, TileSetCard, TileStore
from skygen.tiles.writer import data_hash, describe_shard, write_card, write_shard

ROOT = Path(__file__).parents[1]
# What `make test` starts with, since all else fits beside it.
LONGEST = ("e2e/", "serving/", "sky/test_f", "tiles/", "test_")
# The astrometry of a real frame, whose axes lie a quarter turn from north.
ASTROMETRY = {
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process more than there are cores, since tests wait for servers and commands of their own."""
    return cores() + 1


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker of `make test` is left with one of them at the end."""

    def place(item):
        path = item.path.relative_to(ROOT / "tests").as_posix()
        return next((place for place, name in enumerate(LONGEST) if path.startswith(name)), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish():
    """What was imported to collect all tests stays: no search for garbage need go through it, again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small lose by threads: on a busy machine waiting for each other takes ten times their work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _one_process():
    """Worker processes would cost more time to start than tests give them work; the tests of workers start some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYGEN_PROCESSES", "1")
        yield


@pytest.fixture
def open_to_all(tmp_path, tmp_path_factory):
    """`tmp_path`, which every user can enter."""
    base = tmp_path_factory.getbasetemp()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and (folder.is_relative_to(base) or "pytest-of-" in str(folder)):
            folder.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="session")
def params():
    """The shipped parameters."""
    return load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def recipes(params):
    """The shipped recipes, by name."""
    return read_recipes(params.recipes)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The address of a real Dask scheduler with two worker processes on this machine."""
    place = tmp_path_factory.mktemp("dask") / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    common = ["--no-dashboard", "--scheduler-file", str(place)]
    commands = [
        ["scheduler", "--host", "tcp://127.0.0.1", "--port", "0", *common],
        ["worker", "--nworkers", "2", "--nthreads", "1", "--local-directory", str(place.parent), *common],
    ]
    running = []
    try:
        for command in commands:
            log = (place.parent / f"{command[0]}.log").open("w")
            running.append(
                subprocess.Popen([sys.executable, "-m", "dask", *command], env=environment, stdout=log, stderr=log)
            )
            log.close()
        while not place.is_file():
            assert running[0].poll() is None, (place.parent / "scheduler.log").read_text()
            time.sleep(0.1)
        yield json.loads(place.read_text())["address"]
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def frame_bytes(tmp_path_factory):
    """A function: the bytes of a FITS file like the survey's, named `name`; None in `changes` leaves a key out.

    Its four HDUs agree with each other, at `place_deg` (right ascension and declination of the centre); `changes` are
    to the first one's header. Pixels of float32 keep ten binary digits.
    """
    written = tmp_path_factory.mktemp("frame") / "frame.fits"

    def make(name, flux, place_deg=(ASTROMETRY["CRVAL1"], ASTROMETRY["CRVAL2"]), **changes):
        band, field_id = parse_frame_name(name)
        shape = np.shape(flux) if np.ndim(flux) == 2 else SHAPE
        calibration = np.full(shape[1], 0.005, np.float32)
        sky = np.linspace(149, 150, math.prod(sky_shape(shape)), dtype=np.float32).reshape(sky_shape(shape))
        centre = {
            "CRPIX1": shape[1] // 2 + 1,
            "CRPIX2": shape[0] // 2 + 1,
            "CRVAL1": place_deg[0],
            "CRVAL2": place_deg[1],
        }
        wcs = WCS(fits.Header({**ASTROMETRY, **centre}.items()))
        like = FullFrame(field_id, band, np.zeros(shape, np.float32), wcs, 0.005, calibration, sky)
        write_frame(written, like, "test")
        with fits.open(written, memmap=False) as hdus:
            header = hdus[0].header
            for key, value in changes.items():
                if value is None:
                    del header[key]
                else:
                    header[key] = value
            pixels = keep_significant_bits(flux) if getattr(flux, "dtype", None) == np.float32 else flux
            stream = io.BytesIO()
            fits.HDUList([fits.PrimaryHDU(pixels, header), *hdus[1:]]).writeto(stream)
        return stream.getvalue()

    return make


def conditions_of(field, bands):
    """Conditions of the `field`th field in so many bands, like the survey's and all different."""
    names = BandConditions.model_fields
    values = [
        (0.02 + 0.002 * field + 0.005 * band, 0.001 + 0.0002 * band, 1.2 + 0.1 * field, 0.0002 * field - 0.0003 * band)
        for band in range(bands)
    ]
    return [BandConditions(**dict(zip(names, of_band, strict=True))) for of_band in values]


@pytest.fixture(scope="session")
def write_fields():
    """A function: the store in `folder` of tiles [N, bands, H, W] by split and field, `a_shard` of them in a shard.

    A field may be a readout, and is its left half otherwise. The readouts' conditions are `conditions`, or differ.
    """

    def named(field):
        return field if "/" in field else readout(field, "left")

    def write(folder, bands, tiles, dtype="float32", a_shard=1000, conditions=None):
        shards = {split: [] for split in SPLITS}
        for split, of_fields in tiles.items():
            all_tiles = [(named(field), tile) for field, flux in of_fields.items() for tile in flux]
            for number, start in enumerate(range(0, len(all_tiles), a_shard)):
                path, part = folder / f"{split}-{number}.npy", all_tiles[start : start + a_shard]
                with write_shard(path, part[0][1].shape, dtype) as writer:
                    for name, members in groupby(part, key=itemgetter(0)):
                        writer.add(name, np.stack([tile for _, tile in members]))
                shards[split].append(describe_shard(path, writer.readouts))
        held = dict.fromkeys(name for of_split in shards.values() for shard in of_split for name in shard.readouts)
        if conditions is None:
            conditions = {name: conditions_of(row, len(bands)) for row, name in enumerate(held)}
        conditions = {named(field): observed for field, observed in conditions.items()}
        densities = {
            field: Density(stars=1.0 + 0.1 * row, galaxies=1.5 - 0.1 * row)
            for row, field in enumerate(dict.fromkeys(map(field_of, held)))
        }
        card = TileSetCard(
            name=folder.name,
            size=next(iter(tiles["test"].values())).shape[-1],
            bands=list(bands),
            dtype=dtype,
            softening_nmgy=0.2,
            limit_nmgy=100.0,
            pixel_scale_arcsec=0.396,
            fields={split: list(dict.fromkeys(map(field_of, tiles.get(split, {})))) for split in SPLITS},
            left_out={},
            survival=dict.fromkeys(SPLITS, Survival(tried=1, kept=1.0, spoilt={})),
            conditions=conditions,
            densities=densities,
            shards=shards,
            data_hash=data_hash(shards, conditions, densities),
        )
        write_card(folder, card)
        return TileStore.open(folder)

    return write


@pytest.fixture(scope="session")
def write_store(write_fields):
    """A function: the tile store in `folder` of tiles [N, bands, H, W] by split, each from the field of its split."""

    def write(folder, tiles, dtype="float32", a_shard=1000):
        of_fields = {split: {f"94-1-{number}": tiles[split]} for number, split in enumerate(SPLITS)}
        return write_fields(folder, "rgi"[: tiles["train"].shape[1]], of_fields, dtype, a_shard)

    return write


@pytest.fixture(scope="session")
def write_bundle(recipes):
    """A function: a bundle in `folder` with a generator that nobody trained, its weights drawn from `seed`; its card.

    `row` are changes to the shipped recipe. A process knows g, r and i; it gets the conditions and densities of two
    fields, the second of which has three times the first one's stars.
    """

    def write(folder, seed=0, recipe="gan", size=64, bands=("r",), width=2, row=None, **changes):
        narrow = {"latent_size": 10} if isinstance(recipes[recipe], ConvolutionalRecipe) else {}
        ran = read_recipe({**recipes[recipe].model_dump(), **narrow, **(row or {})}, recipe)
        painted = isinstance(ran, ConvolutionalRecipe)
        shape = generator_shape(ran, size, len(bands), width) if painted else PROCESS
        values = {
            "tiles": "r64",
            "recipe": recipe,
            "seed": seed,
            "scale": "laptop",
            "row": ran.model_dump(),
            "size": size,
            "bands": list(bands),
            "softening_nmgy": ran.softening_nmgy or 0.2,
            "limit_nmgy": 100.0,
            "pixel_scale_arcsec": 0.396,
            "generator": shape,
            "latents": ran.latents if painted else None,
            "require_source": True,
            "source_snr": 10.0,
            "conditions": [conditions_of(field, len(bands)) for field in range(2)] if ran.makes_scenes else None,
            "densities": None if painted else DENSITIES,
            "iteration": 1,
            "images_seen": 32,
            "validation": {"validation_score": 2.0},
            "data_hash": "0" * 64,
            "commit": "unknown",
            "trained_at": "2026-11-23T12:00:00+00:00",
            "versions": {"torch": "2.13.0"},
        }
        card = cards.Card(**{**values, **changes})
        generator = _generator(card, seed)
        cards.save(folder, generator.state_dict(), card)
        return card

    return write


PROCESS = ProcessShape(kind="process", bands=["g", "r", "i"])
DENSITIES = [Density(stars=1.5, galaxies=1.0), Density(stars=4.5, galaxies=1.0)]


def _generator(card, seed):
    if card.generator.kind == "process":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Process.of(card.generator)
    generator = Generator(card.generator)
    std = 0.1 if card.generator.norm == "batch" else 0.25
    initialise(generator, "normal", std, torch.Generator().manual_seed(seed))
    return generator


@pytest.fixture
def noise_store(tmp_path, write_store):
    """A store of 24 training, 34 validation and 8 test tiles [1, 64, 64] of sky noise with a bright spot each."""
    rng = np.random.default_rng(0)

    def tiles(count):
        flux = rng.normal(0, 0.03, (count, 1, 64, 64))
        flux[np.arange(count), 0, *rng.integers(8, 56, (2, count))] += rng.uniform(1, 20, count)
        return flux.astype(np.float32)

    return write_store(tmp_path / "r64", {"train": tiles(24), "validation": tiles(34), "test": tiles(8)})
