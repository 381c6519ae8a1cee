"""What lies in a rectangle of a plane: a row an object, measured on the very light that is drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.cells import Boxes, Catalogue
from skygen.process.light import Canvas
from skygen.process.objects import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG
from skygen.process.view import Under, View, variance

CENTRE_OUTSIDE, TRUNCATED, SATURATED, BLENDED, STRUCTURED = 1, 2, 4, 8, 16  # flags
LEAST_SIGMA = 0.01  # in some pixel inside: what shows less has no row
BLEND_SHARE = 0.1  # of neighbours' light from which an object is flagged as blended
CUT_SHARE = 0.01  # of the flux outside from which an object is flagged as truncated by the edge
STRUCTURE_PX = 10.0  # of half-light radius from which real galaxies show arms and clumps that the model has not
_MORE_PX = 16  # on a canvas than an object's stamp has
_LEAST_VARIANCE_NMGY2 = 1e-16  # of a pixel, where there is no noise at all
_PIXELS_A_PASS = 2**19  # of stamps that are measured at once


class Truth(NamedTuple):
    """The objects of a rectangle, and the light that has no row.

    The sum of a clean scene is that of its rows' flux inside and of `left_out_nmgy`, less `background_nmgy` a pixel.
    """

    rows: NDArray[np.void]  # [n] of `columns`
    left_out_nmgy: NDArray[np.float64]  # [bands] of objects without a row
    background_nmgy: NDArray[np.float64]  # [bands] a pixel, taken from the scene


def columns(bands: Sequence[str]) -> np.dtype[np.void]:
    """The columns of a row: x and y 0-based in the rectangle, angles from x towards y."""
    of_bands: list[tuple[str, str]] = []
    for name, kind in (("flux_{}_nmgy", "f8"), ("mag_{}", "f4"), ("flux_inside_{}_nmgy", "f8")):
        of_bands += [(name.format(band), kind) for band in bands]
    return np.dtype(
        [
            ("object_id", "i8"),
            ("class", "S6"),
            ("x", "f8"),
            ("y", "f8"),
            *of_bands,
            ("half_light_radius_arcsec", "f4"),
            ("axis_ratio", "f4"),
            ("angle_deg", "f4"),
            ("bulge_share", "f4"),
            *((f"snr_{band}", "f4") for band in bands),
            ("blend", "f4"),
            ("flags", "i4"),
        ]
    )


def truth_of(view: View, boxes: Boxes, under: Under, min_snr: float = 0.0) -> list[Truth]:
    """The truth of each of the boxes [n]: rows by ascending id, of a matched-filter S/N from `min_snr` in some band."""
    if min_snr < 0 or not np.isfinite(min_snr):
        raise ValueError(f"min_snr is {min_snr}; it must be a number from 0")
    catalogue, scenes = view.cells.catalogue(boxes), view.scenes(boxes, under)
    light = scenes + view.background_nmgy[:, None, None]
    measured = _measure(view, catalogue, boxes, under, light, np.maximum(variance(scenes, under), _LEAST_VARIANCE_NMGY2))
    kept = (measured.peak_sigma > LEAST_SIGMA).any(1) & (measured.snr >= min_snr).any(1)
    rows = _rows(catalogue, measured, boxes, view.bands)
    found = []
    for box in range(len(boxes.key)):
        own = catalogue.box == box
        left_out = measured.inside[own & ~kept].sum(0)
        found.append(Truth(rows[own & kept], left_out, view.background_nmgy.astype(np.float64)))
    return found


class _Measured(NamedTuple):
    """What is measured of objects [n] on their light."""

    inside: NDArray[np.float64]  # [n, bands] flux inside the box
    outside: NDArray[np.float64]  # [n, bands] flux outside of what is drawn of it
    snr: NDArray[np.float64]  # [n, bands]
    peak_sigma: NDArray[np.float64]  # [n, bands]
    blend: NDArray[np.float64]  # [n]


def _measure(
    view: View,
    catalogue: Catalogue,
    boxes: Boxes,
    under: Under,
    light: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> _Measured:
    """Draw every object alone, on a canvas that holds all of its light or on its whole box, and measure it there."""
    n, bands = len(catalogue.box), len(view.bands)
    measured = _Measured(*(np.zeros((n, bands)) for _ in range(4)), np.zeros(n))
    seen = view.reach_px(catalogue, under)
    for reach in np.unique(seen[seen > 0]):
        side = 2 * int(reach) + _MORE_PX
        whole = side > boxes.height or side > boxes.width
        height, width = (boxes.height, boxes.width) if whole else (side, side)
        chosen = np.flatnonzero(seen == reach)
        several = max(1, _PIXELS_A_PASS // (height * width * bands))
        for start in range(0, len(chosen), several):
            some = chosen[start : start + several]
            of = catalogue.take(some)
            corner = np.zeros((2, len(some)), np.int64)
            if not whole:
                corner += np.rint([of.objects.x.numpy(), of.objects.y.numpy()]).astype(np.int64) - side // 2
            stamps = _stamps(view, of, corner, under, height, width)
            values = _measured(stamps, of, corner, under, light, noise)
            if whole:
                values = values._replace(outside=np.maximum(of.objects.flux_nmgy.numpy() - values.inside, 0))
            for part, value in zip(measured, values, strict=True):
                part[some] = value
    return measured


def _stamps(
    view: View, of: Catalogue, corner: NDArray[np.int64], under: Under, height: int, width: int
) -> NDArray[np.float32]:
    """Objects [n, bands, height, width], each alone; `corner` [2, n] is the first column and row in its box."""
    left, top = map(torch.from_numpy, corner)
    moved = of._replace(objects=of.objects._replace(x=of.objects.x - left, y=of.objects.y - top))
    n = len(of.box)
    return view.drawn(moved, np.arange(n), under.psf_fwhm_px[of.box], Canvas(n, len(view.bands), height, width))


def _measured(
    stamps: NDArray[np.float32],
    of: Catalogue,
    corner: NDArray[np.int64],
    under: Under,
    light: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> _Measured:
    (height, width), (left, top) = stamps.shape[2:], corner
    columns, rows = left[:, None] + np.arange(width), top[:, None] + np.arange(height)
    inside = ((rows >= 0) & (rows < light.shape[2]))[:, :, None] & ((columns >= 0) & (columns < light.shape[3]))[:, None]
    row, column = rows.clip(0, light.shape[2] - 1)[:, None, :, None], columns.clip(0, light.shape[3] - 1)[:, None, None]
    place = (of.box[:, None, None, None], np.arange(stamps.shape[1])[:, None, None], row, column)
    around, spread, own = light[place], noise[place], stamps * inside[:, None]
    x, y = of.objects.x.numpy(), of.objects.y.numpy()
    distance2 = ((columns - x[:, None]) ** 2)[:, None] + ((rows - y[:, None]) ** 2)[:, :, None]
    disc = inside & (distance2 <= (under.psf_fwhm_px[of.box].max(1) ** 2)[:, None, None])
    total, alone = ((part * disc[:, None]).sum((1, 2, 3), dtype=np.float64) for part in (around, own))
    inside_nmgy = own.sum((2, 3), dtype=np.float64)
    return _Measured(
        inside=inside_nmgy,
        outside=stamps.sum((2, 3), dtype=np.float64) - inside_nmgy,
        snr=np.sqrt((own**2 / spread).sum((2, 3), dtype=np.float64)),
        peak_sigma=(own / np.sqrt(spread)).max((2, 3)).astype(np.float64),
        blend=np.clip(1 - alone / np.where(total > 0, total, np.inf), 0, 1) * (total > 0),
    )


def _rows(catalogue: Catalogue, measured: _Measured, boxes: Boxes, bands: Sequence[str]) -> NDArray[np.void]:
    """The rows of all objects of a catalogue."""
    objects, rows = catalogue.objects, np.zeros(len(catalogue.box), columns(bands))
    rows["object_id"], rows["class"] = catalogue.id, np.where(objects.is_galaxy.numpy(), b"galaxy", b"star")
    rows["x"], rows["y"] = objects.x.numpy(), objects.y.numpy()
    for place, band in enumerate(bands):
        flux = objects.flux_nmgy[:, place].numpy()
        rows[f"flux_{band}_nmgy"], rows[f"mag_{band}"] = flux, ZERO_POINT_MAG - 2.5 * np.log10(flux)
        rows[f"flux_inside_{band}_nmgy"] = measured.inside[:, place]
        rows[f"snr_{band}"] = measured.snr[:, place]
    rows["half_light_radius_arcsec"] = objects.radius_px.numpy() * PIXEL_SCALE_ARCSEC
    rows["axis_ratio"], rows["bulge_share"] = objects.axis_ratio.numpy(), objects.bulge_share.numpy()
    rows["angle_deg"] = np.degrees(objects.angle.numpy()) * objects.is_galaxy.numpy()
    rows["blend"] = measured.blend
    rows["flags"] = _flags(catalogue, measured, boxes)
    return rows


def _flags(catalogue: Catalogue, measured: _Measured, boxes: Boxes) -> NDArray[np.int32]:
    objects = catalogue.objects
    x, y = objects.x.numpy(), objects.y.numpy()
    outside = (x < -0.5) | (x >= boxes.width - 0.5) | (y < -0.5) | (y >= boxes.height - 0.5)
    cut = (measured.outside > CUT_SHARE * (measured.inside + measured.outside)).any(1)
    structured = objects.radius_px.numpy() > STRUCTURE_PX
    flags = CENTRE_OUTSIDE * outside + TRUNCATED * cut + BLENDED * (measured.blend > BLEND_SHARE)
    return np.asarray(flags + STRUCTURED * structured, np.int32)
