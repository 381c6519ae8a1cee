"""Rectangles of planes, and an invented truth in them with the columns that a process gives."""

import numpy as np
from numpy.typing import NDArray

from skygen.formats.origin import Origin, Truth
from skygen.formats.wcs import Place, PlaneKey

SHA256 = "0123456789abcdef" * 4
SCALE_ARCSEC = 0.396
SIDE = 64


def truth_dtype(bands: str) -> np.dtype:
    of_bands = [[(f"flux_{b}_nmgy", "f8"), (f"mag_{b}", "f4"), (f"flux_inside_{b}_nmgy", "f8")] for b in bands]
    names = ("half_light_radius_arcsec", "axis_ratio", "angle_deg", "bulge_share")
    return np.dtype(
        [
            ("object_id", "i8"),
            ("class", "S6"),
            ("x", "f8"),
            ("y", "f8"),
            *(column for of_band in of_bands for column in of_band),
            *((name, "f4") for name in names),
            *((f"snr_{band}", "f4") for band in bands),
            ("blend", "f4"),
            ("flags", "i4"),
        ]
    )


def truth(bands: str = "gri", count: int = 12, seed: int = 3, min_snr: float = 0.0) -> Truth:
    """Objects in and around a tile; the first has no flux."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, truth_dtype(bands))
    for name in rows.dtype.names or ():
        rows[name] = rng.uniform(0.1, 1, count)
    rows["object_id"] = rng.integers(2**62, size=count)
    rows["class"] = rng.choice([b"star", b"galaxy"], count)
    rows["x"], rows["y"] = rng.uniform(-9, SIDE + 9, (2, count))
    rows["angle_deg"] = rng.uniform(0, 180, count)
    for band in bands:
        rows[f"flux_{band}_nmgy"] = 10 ** rng.uniform(-1, 3, count)
        rows[f"flux_{band}_nmgy"][:1] = 0
        rows[f"mag_{band}"] = 22.5 - 2.5 * np.log10(np.maximum(rows[f"flux_{band}_nmgy"], 1e-9))
    return Truth(rows, rng.uniform(0, 0.1, len(bands)).tolist(), min_snr)


def origin(bands: str, places: list[tuple[int, int]], seed: int = 7, of_tiles: bool = True, first: int = 0) -> Origin:
    """Of tiles of the process at (x, y) of their planes, or of rectangles of the seed's plane."""
    keys: list[PlaneKey] = [(seed, first + at) if of_tiles else seed for at in range(len(places))]
    on_planes = [Place(key, x, y, SIDE, SIDE) for key, (x, y) in zip(keys, places, strict=True)]
    noise = np.full((len(places), len(bands)), 0.03, dtype=np.float32)
    names = ("r64", "scene", SHA256)
    return Origin(
        *names, seed, "survey", 1.2, list(bands), SCALE_ARCSEC, sky_noise_nmgy=noise, first=first, places=on_planes
    )


def tiles(count: int, bands: str) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, len(bands), SIDE, SIDE)).astype(np.float32)
