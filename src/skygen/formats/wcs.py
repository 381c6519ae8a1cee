"""Where a plane lies on the sky: an invented place, so that standard tools can work with what is generated.

Pixel (0, 0) of a plane is its tangent point, and a rectangle's CRPIX says how far away that is: a pixel of the plane
keeps its position whatever rectangle is cut. Columns run north and rows east, as in the survey's frames of a stripe
along the equator. Where a rectangle leaves the 45,000 px around the tangent point, its axes are linear, in arcsec from
there: a tangent plane would give the same position to what lies far apart.
"""

import hashlib
import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

PlaneKey = int | tuple[int, int]
"""Of a plane: a seed, or the seed and the index of a tile."""

Cards = list[tuple[str, str | float, str]]

REACH_PX: Final = 45_000
FICTITIOUS: Final = ("OBJECT", "fictitious sky", "invented, and so are its positions")
_MOST_DEC_DEG: Final = 60.0
_WORD_BYTES: Final = 8
_DECIMALS: Final = 11


class Place(NamedTuple):
    """A rectangle of a plane: its first pixel is pixel (x, y) of the plane."""

    plane: PlaneKey
    x: int
    y: int
    width: int
    height: int

    @property
    def is_on_sky(self) -> bool:
        """Whether it keeps within 45,000 px of the tangent point in x and in y, and so has RA and Dec."""
        ends = (self.x, self.x + self.width - 1, self.y, self.y + self.height - 1)
        return all(abs(end) <= REACH_PX for end in ends)


@lru_cache(maxsize=4096)
def tangent_point(plane: PlaneKey) -> tuple[float, float]:
    """RA in [0, 360) and Dec within ±60 of a plane's pixel (0, 0), in degrees, ICRS, uniform on the sphere.

    u and v are the first two 64-bit big-endian words of the SHA-256 of the text "skygen tangent point SEED", or
    "skygen tangent point SEED INDEX", over 2^64; RA = 360 u, sin Dec = (2 v - 1) sin 60°, both to 6 decimals.
    """
    key = " ".join(map(str, plane)) if isinstance(plane, tuple) else str(plane)
    drawn = hashlib.sha256(f"skygen tangent point {key}".encode("ascii")).digest()
    u, v = (int.from_bytes(drawn[at : at + _WORD_BYTES], "big") / 2**64 for at in (0, _WORD_BYTES))
    dec = math.degrees(math.asin((2 * v - 1) * math.sin(math.radians(_MOST_DEC_DEG))))
    return round(360 * u, 6) % 360, round(dec, 6)


def sky_position(
    plane: PlaneKey, x: ArrayLike, y: ArrayLike, scale_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RA in [0, 360) and Dec, in degrees, of pixels (x, y) [n] of a plane whose pixels are `scale_arcsec` wide.

    To 11 decimals, 1e-7 px: further ones depend on the processor's own sines.
    """
    sight, _, _ = _sight(plane, x, y, scale_arcsec)
    ra = np.degrees(np.arctan2(sight[1], sight[0])) % 360
    dec = np.degrees(np.arctan2(sight[2], np.hypot(sight[0], sight[1])))
    return np.round(ra, _DECIMALS) % 360, np.round(dec, _DECIMALS)


def position_angle(
    plane: PlaneKey, x: ArrayLike, y: ArrayLike, angle_deg: ArrayLike, scale_arcsec: float
) -> NDArray[np.float64]:
    """The angle east of north, degrees in [0, 180), of lines at `angle_deg` from x towards y through pixels (x, y) [n].

    At the tangent point the two are the same; away from it meridians converge.
    """
    sight, east, north = _sight(plane, x, y, scale_arcsec)
    angle = np.radians(np.asarray(angle_deg, dtype=np.float64))
    along = np.cos(angle) * north[:, None] + np.sin(angle) * east[:, None]
    local_east = np.stack([-sight[1], sight[0], np.zeros_like(sight[0])])
    local_north = np.cross(sight, local_east, axis=0)  # as long as local_east, once `sight` is of length 1
    turned = np.arctan2((along * local_east).sum(axis=0), (along * local_north).sum(axis=0))
    return np.asarray(np.round(np.degrees(turned), _DECIMALS) % 180)


def cards(shape: tuple[int, ...], on_sky: bool, scale_arcsec: float) -> Cards:
    """The WCS of images of `shape` [H, W] or [bands, H, W], the band as third axis, with 0 for what `numbers` gives."""
    found = _on_sky(round(scale_arcsec / 3600, 15)) if on_sky else _on_plane(scale_arcsec)
    found += [
        ("CRPIX1", 0, "column of the plane's pixel (0, 0), from 1 on"),
        ("CRPIX2", 0, "row of the plane's pixel (0, 0), from 1 on"),
    ]
    if shape[2:]:
        found += [
            ("CTYPE3", "BAND", "number of the band in BANDS, from 1 on"),
            ("CRVAL3", 1.0, "the first band"),
            ("CRPIX3", 1.0, "is the first plane"),
            ("CD3_3", 1.0, "one band a plane"),
        ]
    return found


def _on_sky(pixel_deg: float) -> Cards:
    return [
        ("RADESYS", "ICRS", "system of RA and Dec"),
        ("CTYPE1", "RA---TAN", "right ascension on a tangent plane"),
        ("CTYPE2", "DEC--TAN", "declination on a tangent plane"),
        ("CUNIT1", "deg", "unit of RA"),
        ("CUNIT2", "deg", "unit of Dec"),
        ("CRVAL1", 0, "[deg] RA of the plane's pixel (0, 0)"),
        ("CRVAL2", 0, "[deg] Dec of the plane's pixel (0, 0)"),
        ("CD1_1", 0.0, "[deg] to the east per column"),
        ("CD1_2", pixel_deg, "[deg] to the east per row"),
        ("CD2_1", pixel_deg, "[deg] to the north per column"),
        ("CD2_2", 0.0, "[deg] to the north per row"),
    ]


def _on_plane(pixel_arcsec: float) -> Cards:
    return [
        ("CTYPE1", "LINEAR", "x of the plane: too far out for RA and Dec"),
        ("CTYPE2", "LINEAR", "y of the plane"),
        ("CUNIT1", "arcsec", "unit of x"),
        ("CUNIT2", "arcsec", "unit of y"),
        ("CRVAL1", 0.0, "[arcsec] x of the plane's pixel (0, 0)"),
        ("CRVAL2", 0.0, "[arcsec] y of the plane's pixel (0, 0)"),
        ("CD1_1", pixel_arcsec, "[arcsec] along x per column"),
        ("CD1_2", 0.0, "[arcsec] along x per row"),
        ("CD2_1", 0.0, "[arcsec] along y per column"),
        ("CD2_2", pixel_arcsec, "[arcsec] along y per row"),
    ]


def numbers(place: Place) -> dict[str, float]:
    """What the WCS of the rectangle at `place` says that others do not."""
    found = {"CRPIX1": float(1 - place.x), "CRPIX2": float(1 - place.y)}
    if place.is_on_sky:
        found["CRVAL1"], found["CRVAL2"] = tangent_point(place.plane)
    return found


def _sight(
    plane: PlaneKey, x: ArrayLike, y: ArrayLike, scale_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The line of sight to pixels (x, y), unit vectors [3, n], and east and north [3] at the tangent point."""
    ra, dec = map(math.radians, tangent_point(plane))
    centre = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.array([-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec)])
    radians = math.radians(scale_arcsec / 3600)
    across = np.atleast_1d(np.asarray(y, dtype=np.float64)) * radians
    up = np.atleast_1d(np.asarray(x, dtype=np.float64)) * radians
    sight = centre[:, None] + across * east[:, None] + up * north[:, None]
    return sight / np.sqrt((sight**2).sum(axis=0)), east, north
