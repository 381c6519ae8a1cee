"""What lies in a rectangle of a plane: a row an object, measured on the very light that is drawn."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.cells import Boxes, Catalogue
from skygen.process.light import Canvas
from skygen.process.objects import Objects
from skygen.process.view import Under, View, on_cores, variance
from skygen.sky.units import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG

CENTRE_OUTSIDE, TRUNCATED, SATURATED, BLENDED, STRUCTURED = 1, 2, 4, 8, 16  # flags
LEAST_SIGMA = 0.01  # in some pixel inside: what shows less has no row
BLEND_SHARE = 0.1  # of neighbours' light from which an object is flagged as blended
CUT_SHARE = 0.01  # of the flux outside from which an object is flagged as truncated by the edge
STRUCTURE_PX = 10.0  # of half-light radius from which real galaxies show arms and clumps that the model has not
_LEAST_VARIANCE_NMGY2 = 1e-16  # of a pixel, where there is no noise at all
_PIXELS_A_PASS = 2**18  # of stamps that are measured at once


class Truth(NamedTuple):
    """The objects of a rectangle, and the light that has no row.

    The sum of a clean scene is that of its rows' flux inside and of `left_out_nmgy`, less `background_nmgy` a pixel.
    """

    rows: NDArray[np.void]  # [n] of `columns`
    left_out_nmgy: NDArray[
        np.float64
    ]  # [bands] of objects without a row, and what saturated cores have more than light
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


def truth_of(
    view: View, boxes: Boxes, under: Under, min_snr: float = 0.0, scenes: NDArray[np.float32] | None = None
) -> list[Truth]:
    """The truth of each of the boxes [n]: rows by ascending id, of a matched-filter S/N from `min_snr` in some band.

    `scenes` spares drawing them again, where they were drawn from these boxes and conditions.
    """
    if not 0 <= min_snr < np.inf:
        raise ValueError(f"min_snr is {min_snr}; it must be a number from 0")
    catalogue = view.cells.catalogue(boxes)
    if scenes is None:
        scenes = view.scenes(boxes, under)
    measured = _measure(catalogue, _Sky(view, under, scenes))
    kept = (measured.peak_sigma > LEAST_SIGMA).any(1) & (measured.snr >= min_snr).any(1)
    rows = _rows(catalogue, measured, boxes, view)
    saturated = {box for box, _ in view.cores(catalogue, under, boxes)}
    found = []
    for box in range(len(boxes.key)):
        own = catalogue.box == box
        left_out = measured.inside[own & ~kept].sum(0)
        if box in saturated:  # what the survey fills in is not the light that was there
            clean = scenes[box].sum((1, 2), dtype=np.float64) + view.background_nmgy * scenes[box, 0].size
            left_out += clean - measured.inside[own].sum(0)
        found.append(Truth(rows[own & kept], left_out, view.background_nmgy.astype(np.float64)))
    return found


class _Measured(NamedTuple):
    """What is measured of objects [n] on their light."""

    inside: NDArray[np.float64]  # [n, bands] flux inside the box
    outside: NDArray[np.float64]  # [n, bands] flux outside of what is drawn of it
    snr: NDArray[np.float64]  # [n, bands]
    peak_sigma: NDArray[np.float64]  # [n, bands] in the pixel where it shows most
    peak_nmgy: NDArray[np.float64]  # [n, bands] in its brightest pixel
    blend: NDArray[np.float64]  # [n]


class _Sky(NamedTuple):
    """What objects are measured on."""

    view: View
    under: Under
    scenes: NDArray[np.float32]  # [boxes, bands, H, W]

    def at(
        self, box: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Light and variance of the noise [n, bands, h, w] at rows [n, h] and columns [n, w] of boxes [n]."""
        band = np.arange(self.scenes.shape[1])[:, None, None]
        row, column = row.clip(0, self.scenes.shape[2] - 1), column.clip(0, self.scenes.shape[3] - 1)
        found = self.scenes[box[:, None, None, None], band, row[:, None, :, None], column[:, None, None]]
        spread = np.maximum(variance(found, self.under.take(box)), _LEAST_VARIANCE_NMGY2)
        return found + self.view.background_nmgy[:, None, None], spread


def _measure(catalogue: Catalogue, sky: _Sky) -> _Measured:
    """Draw every object alone, on a canvas that holds all of its light or on its whole box, and measure it there."""
    n, bands = len(catalogue.box), len(sky.view.bands)
    inside, outside, snr, peak_sigma, peak_nmgy = np.zeros((5, n, bands))
    measured = _Measured(inside, outside, snr, peak_sigma, peak_nmgy, np.zeros(n))

    def fill(part: tuple[NDArray[np.int64], int]) -> None:
        some, reach = part
        values = _alone(catalogue.take(some), reach, sky)
        for column, value in zip(measured, values, strict=True):
            column[some] = value

    reach = sky.view.reach_px(catalogue, sky.under)
    reach[~_touches(catalogue.objects, reach, sky.scenes.shape)] = 0
    parts = list(_together(reach, sky.scenes.shape))
    on_cores(fill, parts, sky.view.device, alone=len(sky.scenes) > 1)
    return measured


def _touches(objects: Objects, reach: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether objects that reach so far [n] may touch boxes of `shape` [.., H, W]."""
    (x, y), (height, width) = (part.numpy() for part in (objects.x, objects.y)), shape[2:]
    return np.asarray((x > -1 - reach) & (x < width + reach) & (y > -1 - reach) & (y < height + reach))


def _together(reach: NDArray[np.int64], shape: tuple[int, ...]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Indices of objects that are measured at once, on canvases of one size, and how far they reach."""
    for one in np.unique(reach[reach > 0]).tolist():
        chosen = np.flatnonzero(reach == one)
        height, width = _canvas(one, shape)
        yield from ((some, one) for some in _split(chosen, max(1, _PIXELS_A_PASS // (height * width * shape[1]))))


def _split(chosen: NDArray[np.int64], several: int) -> list[NDArray[np.int64]]:
    return [chosen[start : start + several] for start in range(0, len(chosen), several)]


def _canvas(reach: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the canvas of an object alone: that of the box [.., H, W] where it would be larger."""
    side = 2 * reach + 1  # a stamp's corner is rounded
    return (shape[2], shape[3]) if side > min(shape[2:]) else (side, side)


def _alone(of: Catalogue, reach: int, sky: _Sky) -> _Measured:
    height, width = _canvas(reach, sky.scenes.shape)
    whole = (height, width) == sky.scenes.shape[2:]
    places = np.rint([of.objects.x.numpy(), of.objects.y.numpy()]).astype(np.int64)
    corner = np.zeros_like(places) if whole else places - height // 2
    values = _measured(_stamps(of, corner, sky, height, width), of, corner, sky)
    if whole:  # what is drawn outside is not at hand, but nearly all of the light of so large a stamp
        values = values._replace(outside=np.maximum(of.objects.flux_nmgy.numpy() - values.inside, 0))
    return values


def _stamps(of: Catalogue, corner: NDArray[np.int64], sky: _Sky, height: int, width: int) -> NDArray[np.float32]:
    """Objects [n, bands, height, width], each alone; `corner` [2, n] is the first column and row in its box."""
    left, top = map(torch.from_numpy, corner)
    moved = of._replace(objects=of.objects._replace(x=of.objects.x - left, y=of.objects.y - top))
    canvas = Canvas(len(of.box), len(sky.view.bands), height, width)
    return sky.view.drawn(moved, np.arange(canvas.tiles), sky.under.take(of.box), canvas)


def _measured(stamps: NDArray[np.float32], of: Catalogue, corner: NDArray[np.int64], sky: _Sky) -> _Measured:
    (height, width), (left, top) = stamps.shape[2:], corner
    columns, rows = left[:, None] + np.arange(width), top[:, None] + np.arange(height)
    inside = ((rows >= 0) & (rows < sky.scenes.shape[2]))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < sky.scenes.shape[3]))[:, None]
    own, (around, spread) = stamps * inside[:, None], sky.at(of.box, rows, columns)
    x, y = of.objects.x.numpy(), of.objects.y.numpy()
    distance2 = ((columns - x[:, None]) ** 2)[:, None] + ((rows - y[:, None]) ** 2)[:, :, None]
    disc = inside & (distance2 <= (sky.under.psf_fwhm_px[of.box].max(1) ** 2)[:, None, None])
    total, alone = ((part * disc[:, None]).sum((1, 2, 3), dtype=np.float64) for part in (around, own))
    inside_nmgy = own.sum((2, 3), dtype=np.float64)
    return _Measured(
        inside=inside_nmgy,
        outside=stamps.sum((2, 3), dtype=np.float64) - inside_nmgy,
        snr=np.sqrt((own**2 / spread).sum((2, 3), dtype=np.float64)),
        peak_sigma=(own / np.sqrt(spread)).max((2, 3)).astype(np.float64),
        peak_nmgy=own.max((2, 3)).astype(np.float64),
        blend=np.clip(1 - alone / np.where(total > 0, total, np.inf), 0, 1) * (total > 0),
    )


def _rows(catalogue: Catalogue, measured: _Measured, boxes: Boxes, view: View) -> NDArray[np.void]:
    """The rows of all objects of a catalogue."""
    objects, rows = catalogue.objects, np.zeros(len(catalogue.box), columns(view.bands))
    rows["object_id"], rows["class"] = catalogue.id, np.where(objects.is_galaxy.numpy(), b"galaxy", b"star")
    rows["x"], rows["y"] = objects.x.numpy(), objects.y.numpy()
    for place, band in enumerate(view.bands):
        flux = objects.flux_nmgy[:, place].numpy()
        rows[f"flux_{band}_nmgy"], rows[f"mag_{band}"] = flux, ZERO_POINT_MAG - 2.5 * np.log10(flux)
        rows[f"flux_inside_{band}_nmgy"] = measured.inside[:, place]
        rows[f"snr_{band}"] = measured.snr[:, place]
    rows["half_light_radius_arcsec"] = objects.radius_px.numpy() * PIXEL_SCALE_ARCSEC
    rows["axis_ratio"], rows["bulge_share"] = objects.axis_ratio.numpy(), objects.bulge_share.numpy()
    rows["angle_deg"] = np.degrees(objects.angle.numpy()) * objects.is_galaxy.numpy()
    rows["blend"] = measured.blend
    rows["flags"] = _flags(catalogue, measured, boxes, view)
    return rows


def _flags(catalogue: Catalogue, measured: _Measured, boxes: Boxes, view: View) -> NDArray[np.int32]:
    objects = catalogue.objects
    x, y = objects.x.numpy(), objects.y.numpy()
    outside = (x < -0.5) | (x >= boxes.width - 0.5) | (y < -0.5) | (y >= boxes.height - 0.5)
    cut = (measured.outside > CUT_SHARE * (measured.inside + measured.outside)).any(1)
    structured = objects.radius_px.numpy() > STRUCTURE_PX
    full = (measured.peak_nmgy >= np.array(view.full_well_nmgy)).any(1)
    flags = CENTRE_OUTSIDE * outside + TRUNCATED * cut + SATURATED * full + BLENDED * (measured.blend > BLEND_SHARE)
    return np.asarray(flags + STRUCTURED * structured, np.int32)
