"""Folders of frames as the stage frames leaves them, with parameters for tile sets of them."""

import numpy as np
import pytest

from skygen.params import TileSetParams
from skygen.sky.conditions import Density
from skygen.sky.field import FieldId, frame_name, sources_name
from skygen.sky.frame import read_frame
from skygen.sky.inspection.defects import DEFECT
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.inspect import Inspection, write_inspection
from skygen.sky.manifest import Manifest, describe

SMALL = (200, 264)
FIELDS = [FieldId(94, 1, number) for number in range(12, 17)]


@pytest.fixture
def small_frames(monkeypatch):
    """Frames are of the shape `SMALL` to whoever reads them."""
    monkeypatch.setattr("skygen.sky.frame.SHAPE", SMALL)


def make_tile_set(**changes):
    """The parameters of a tile set of 64 px in g and r, but for `changes`."""
    values = {
        "size": 64,
        "bands": ["g", "r"],
        "softening_nmgy": 0.2,
        "limit_nmgy": 100.0,
        "dtype": "float32",
        "places": "random",
        "require_source": True,
        "source_snr": 10.0,
        "drop": ["trail", "halo", "masked"],
        "validation": 0.2,
        "test": 0.2,
        "hold_out": None,
        "seed": 0,
    }
    return TileSetParams(**{**values, **changes})


@pytest.fixture(scope="session")
def tile_set():
    """The function `make_tile_set`."""
    return make_tile_set


@pytest.fixture(scope="session")
def write_frames(frame_bytes):
    """A function: a folder of frames of noise and stars, as the stage frames leaves it.

    `available` are pairs of a field and a band; `places` maps fields to RA and Dec, ten degrees apart by default.
    """

    def write(folder, available, places=None, stars=20, shape=SMALL, spoilt=()):
        folder.mkdir(exist_ok=True)
        rows, defects = [], np.array(list(spoilt), DEFECT)
        for field in sorted({field for field, _ in available}):
            bands = [band for of, band in available if of == field]
            frames = {}
            place = places[field] if places else (10.0 * (field.field % 36), float(field.camcol))
            for band in bands:
                path = folder / frame_name(band, field, compressed=False)
                path.write_bytes(frame_bytes(path.name, noise_and_stars(field, stars, shape), place))
                frames[band] = read_frame(path)
            sources = detect(frames[bands[-1]].flux_nmgy, 0.025, 5.0)
            inspection = inspected(sources, defects, bands)
            write_inspection(folder / sources_name(field), inspection, field)
            rows += [
                describe(folder / frame_name(band, field, compressed=False), frame, "test", inspection)
                for band, frame in frames.items()
            ]
        Manifest("local", rows, []).write(folder)
        return folder

    return write


def inspected(sources, defects, bands, noise_nmgy=0.025):
    return Inspection(
        sources=sources,
        defects=defects,
        psf_fwhm_arcsec=dict.fromkeys(bands, 1.3),
        psf_stars=dict.fromkeys(bands, 9),
        sky_noise_nmgy=dict.fromkeys(bands, noise_nmgy),
        half_noise_nmgy={band: {"left": noise_nmgy, "right": 1.2 * noise_nmgy} for band in bands},
        half_level_nmgy={band: {"left": 0.001, "right": -0.002} for band in bands},
        offset_px=dict.fromkeys(bands, (0.0, 0.0)),
        density=Density(stars=1.2, galaxies=0.8),
    )


@pytest.fixture(scope="session")
def inspection():
    """A function: an inspection that found these sources and defects, with all else the same for `bands`."""
    return inspected


def noise_and_stars(field, stars, shape):
    rng = np.random.default_rng([field.run, field.camcol, field.field])
    flux = rng.normal(0, 0.025, shape)
    offsets = np.arange(-8, 9)
    star = 2.0 * np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    for x, y in rng.integers(8, np.array(shape[::-1]) - 8, (stars, 2)):
        flux[y - 8 : y + 9, x - 8 : x + 9] += star
    return flux.astype(np.float32)


@pytest.fixture
def frames(tmp_path, write_frames, small_frames):
    """A function: the folder of small frames of five fields in g and r."""

    def write(available=tuple((field, band) for field in FIELDS for band in "gr"), **options):
        return write_frames(tmp_path / "frames", available, **options)

    return write
