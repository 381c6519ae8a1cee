"""The light of objects on canvases: integrated over pixels, through the survey's PSF, by sums of Gaussians.

An object is drawn on a square stamp, as small as its flux, radius and PSF allow. Bits are fixed: torch runs on one
thread, and every array that goes through its vector loops has rows of a multiple of 16 numbers, so that no number's
last bits depend on what else is in the call.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import torch

from skygen.cores import one_thread
from skygen.process.bright import Halo, arms_at, glow_at, halo_ring
from skygen.process.objects import Objects
from skygen.process.profiles import (
    PIXEL_VARIANCE,
    PSF,
    SIZES,
    core_px,
    galaxy_gaussians,
    galaxy_psf,
    psf_gaussians,
)
from skygen.sky.spread import SPIKE_SHARE

SIDES_PX = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)  # of stamps; more is cut off
ROW = 16  # numbers that are computed together
_WIDEST = 0.6  # times a stamp's side: PSF's Gaussians of more widths of the core are left out of it
_AT_ONCE = 2**18  # numbers, so that they stay in a core's cache
_AT_ONCE_ELSEWHERE = 2**24  # on a GPU, where a call's start costs more than its numbers
_STAR, _BRIGHT_STAR, _GALAXY = 0, 1, 2  # kinds: of galaxies there is one for each interval of SIZES
_KINDS = _GALAXY + len(SIZES) + 1
_LEAST_EXPONENT = -80.0  # no light at all; beyond it a float32 becomes too small to be computed quickly
_LOG2_E = math.log2(math.e)  # a power of 2 costs a fourth of one of e


class Canvas(NamedTuple):
    """The shape of what is drawn on."""

    tiles: int
    bands: int
    height: int
    width: int


class _Placed(NamedTuple):
    """Objects [n], and what each is drawn under."""

    objects: Objects
    tile: torch.Tensor  # [n]
    core: torch.Tensor  # [n, bands] px
    offset: torch.Tensor  # [n, bands, 2] px

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        objects = Objects(*(part.to(device) for part in self.objects))
        return type(self)(objects, *(part.to(device) for part in self[1:]))

    def take(self, indices: torch.Tensor) -> Self:
        """The objects at `indices` [m]."""
        return type(self)(self.objects.take(indices), *(part[indices] for part in self[1:]))

    def split(self, number: int | list[int]) -> list[Self]:
        """The objects in parts of `number`, or of each of so many."""
        parts = zip(*(torch.split(part, number) for part in (*self.objects, *self[1:])), strict=True)
        several = len(self.objects)
        return [type(self)(Objects(*part[:several]), *part[several:]) for part in parts]


# Gaussians [.., g, h, w] of their columns' numbers [.., g, w] and their rows' [.., g, h], into a given array.
_Light = Callable[[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor | None], torch.Tensor]


class _Window(NamedTuple):
    """Where stamps lie on their canvas: first row and column [n] of what is computed, and what of it is stamp."""

    row: torch.Tensor
    column: torch.Tensor
    dy: torch.Tensor  # [n, h] px from the object's centre
    dx: torch.Tensor  # [n, w]
    rows: torch.Tensor  # [n, h] bool
    columns: torch.Tensor  # [n, w] bool


def draw(
    objects: Objects,
    tile: torch.Tensor,
    psf_fwhm_px: torch.Tensor,
    canvas: Canvas,
    faint_nmgy: float | torch.Tensor,
    halo: Halo | None = None,
    offset_px: torch.Tensor | None = None,
    device: torch.device | None = None,
) -> torch.Tensor:
    """The light [tiles, bands, H, W] in nmgy of `objects` [n], each on its canvas `tile` [n].

    `psf_fwhm_px` [tiles, bands] is the FWHM that `measure_psf` finds. What is left out of an object adds less than
    `faint_nmgy` (one for all, or of each band) to any pixel. Objects are added by kind and side of stamp, and then in
    their order. With a `halo` bright stars have glow and spikes beside the light of their PSF, which is their flux.
    In each band the light lies `offset_px` [tiles, bands, 2] in x and y off the objects' places, at most half a pixel.
    Pixels are computed on `device`, that of the objects where none is given. What is drawn how is decided where the
    objects are: a stamp one size smaller for a last bit would leave out `faint_nmgy`, and not the last bit.
    """
    with one_thread():
        core = core_px(psf_fwhm_px)[tile].to(objects.flux_nmgy)  # [n, bands]
        kind = _kinds(objects, core, faint_nmgy, halo)
        side = _sides(objects, kind, core, faint_nmgy, halo)
        group = _groups(objects, kind, side, canvas)
        offset = torch.zeros_like(core)[..., None].expand(-1, -1, 2) if offset_px is None else offset_px[tile].to(core)
        high, wide = _padded(canvas.height), _padded(canvas.width)
        all_of_them = _Placed(objects, tile, core, offset).to(objects.x.device if device is None else device)
        image = all_of_them.core.new_zeros(canvas.tiles * canvas.bands * high * wide)
        for code in sorted(set(group.tolist())):
            if code >= 0:
                for chosen in torch.split((group == code).nonzero().flatten(), _chunk(code, canvas, image.device)):
                    _add(image, code, all_of_them.take(chosen.to(image.device)), canvas, halo)
        return image.view(canvas.tiles, canvas.bands, high, wide)[..., : canvas.height, : canvas.width]


def reach_px(
    objects: Objects, psf_fwhm_px: torch.Tensor, faint_nmgy: float | torch.Tensor, halo: Halo | None = None
) -> torch.Tensor:
    """How far [n] in px along rows and columns from their centres objects are drawn; 0 for those too faint to be.

    `psf_fwhm_px` [bands], or [n, bands].
    """
    with one_thread():
        core = core_px(psf_fwhm_px).to(objects.flux_nmgy).expand_as(objects.flux_nmgy)
        sides = torch.tensor((0, *SIDES_PX), dtype=core.dtype, device=core.device)
        return sides[_sides(objects, _kinds(objects, core, faint_nmgy, halo), core, faint_nmgy, halo) + 1] / 2


def _padded(size: int) -> int:
    return -(-size // ROW) * ROW


def _kinds(objects: Objects, core: torch.Tensor, faint: float | torch.Tensor, halo: Halo | None) -> torch.Tensor:
    """The kind [n] of each object."""
    size = torch.bucketize(objects.radius_px.detach() / core.amin(-1), torch.tensor(SIZES).to(core))
    star = torch.full_like(size, _STAR)
    if halo is not None:
        nearest = halo_ring(core.new_zeros(ROW), halo)[:, 0]  # [bands]
        star += (objects.flux_nmgy.detach() * nearest > faint).any(-1)
    return torch.where(objects.is_galaxy, _GALAXY + size, star)


@torch.no_grad()
def _sides(
    objects: Objects, kind: torch.Tensor, core: torch.Tensor, faint: float | torch.Tensor, halo: Halo | None
) -> torch.Tensor:
    """The least side of a stamp [n], an index of SIDES_PX, that leaves out less than `faint` a pixel; -1 for none."""
    flux = (objects.flux_nmgy / faint).amax(-1)  # that of the brightest band, in the widest PSF
    radii = torch.tensor((0, *SIDES_PX)).to(flux) / 2
    found = torch.full(flux.shape, -1, device=flux.device)
    for code in range(_KINDS):
        some = (kind == code).nonzero().flatten()
        for radius in torch.split(radii, [3, len(radii) - 3]):  # few reach farther than the first of them
            if not len(some):
                break
            parts = []
            for part in torch.split(some, _AT_ONCE // 512):
                light = _profile(objects.take(part), code, core[part].amax(-1), radius) * flux[part][:, None]
                if halo is not None and code == _BRIGHT_STAR:
                    light = light + (objects.flux_nmgy[part] / faint)[..., None].mul(halo_ring(radius, halo)).amax(1)
                seen = (light >= 1).sum(-1)
                found[part] += seen
                parts.append(part[seen == len(radius)])
            some = torch.cat(parts)
    return found.clamp(max=len(SIDES_PX) - 1)


def _profile(objects: Objects, kind: int, core: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Light a pixel [n, r] of objects of flux 1, [r] px along the major axis, and what a stamp so wide lacks."""
    widest = _WIDEST * 2 * radius.clamp(min=SIDES_PX[0] / 2)
    if kind >= _GALAXY:
        radial, blur, disc, bulge = (_row(part, core) for part in galaxy_gaussians(kind - _GALAXY, torch.inf))
        share = disc + objects.bulge_share[:, None] * (bulge - disc)  # [n, g]
        psf = galaxy_psf()
    else:
        share, width = (_row(part, core) for part in PSF)
        radial, blur, share, psf = torch.zeros_like(width), width**2, share.expand(len(core), -1), PSF
    blurred = blur * core[:, None] ** 2 + PIXEL_VARIANCE
    major = radial * objects.radius_px[:, None] ** 2 + blurred
    minor = radial * (objects.radius_px * objects.axis_ratio)[:, None] ** 2 + blurred
    peak = share / (2 * torch.pi * (major * minor).sqrt())
    steep = -_LOG2_E / 2 / major
    fall = (radius[:, None] ** 2 * steep[:, None]).clamp(min=_LEAST_EXPONENT * _LOG2_E)
    light = (peak[:, None] * fall.exp2()).sum(-1)
    shares, widths = (torch.tensor(part).to(core) for part in psf)
    left = (shares / (2 * torch.pi * widths**2) * (widths > widest[:, None])).sum(-1) / core[:, None] ** 2
    return light + left


def _row(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    """`values` and zeros up to a multiple of ROW: Gaussians without light, as wide as a pixel."""
    return torch.tensor(values + (0.0,) * (_padded(len(values)) - len(values))).to(like)


def _groups(objects: Objects, kind: torch.Tensor, side: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """What [n] is drawn together, by side and kind; -1 for what is unseen."""
    across = torch.tensor(SIDES_PX, device=side.device)[side]
    seen = side >= 0
    for centre, size in ((objects.x, canvas.width), (objects.y, canvas.height)):
        first = _first(centre, across)
        seen &= (first < size) & (first + across > 0)
    return torch.where(seen, side * _KINDS + kind, -1)


def _chunk(code: int, canvas: Canvas, device: torch.device) -> int:
    """How many objects of a group are drawn at once on a device."""
    side, kind = SIDES_PX[code // _KINDS], code % _KINDS
    pixels = min(side, _padded(canvas.height)) * min(side, _padded(canvas.width)) * canvas.bands
    if device.type == "cpu" and not torch.is_grad_enabled():
        return max(1, _AT_ONCE // pixels)
    gaussians = 1 if kind < _GALAXY else len(galaxy_gaussians(kind - _GALAXY, _WIDEST * side).radial)
    return max(1, (_AT_ONCE if device.type == "cpu" else _AT_ONCE_ELSEWHERE) // (gaussians * pixels))


def _first(centre: torch.Tensor, side: torch.Tensor | int) -> torch.Tensor:
    return (centre.detach() - side / 2).ceil().long()


def _window(objects: Objects, side: int, canvas: Canvas) -> _Window:
    """Windows inside the canvas, of at most `side` px, that hold what stamps of `side` px have there."""
    parts = []
    for centre, size in ((objects.y, canvas.height), (objects.x, canvas.width)):
        number = min(side, _padded(size))
        stamp = _first(centre, side)
        first = stamp.clamp(0, _padded(size) - number)
        offset = torch.arange(number, device=centre.device)
        distance = ((first - centre)[:, None] + offset).to(objects.flux_nmgy)
        inside = offset - (stamp - first)[:, None]
        parts.append((first, distance, (inside >= 0) & (inside < side)))
    (row, dy, rows), (column, dx, columns) = parts
    return _Window(row, column, dy, dx, rows, columns)


def _add(image: torch.Tensor, code: int, placed: _Placed, canvas: Canvas, halo: Halo | None) -> None:
    """Add the light of objects of the group `code` to `image` [all its pixels, with the canvas' padding]."""
    objects, tile, core, offset = placed
    side, kind = SIDES_PX[code // _KINDS], code % _KINDS
    window = _window(objects, side, canvas)
    if kind < _GALAXY:
        light = _stars(objects, core, window, offset, _WIDEST * side, halo if kind == _BRIGHT_STAR else None)
    else:
        light = _galaxies(objects, core, window, offset, kind - _GALAXY, _WIDEST * side)
    high, wide = _padded(canvas.height), _padded(canvas.width)
    if image.device.type == "cpu" and not torch.is_grad_enabled():
        _add_each(image.view(canvas.tiles, canvas.bands, high, wide), tile, window, light)
        return
    plane = tile[:, None] * canvas.bands + torch.arange(canvas.bands, device=tile.device)
    base = plane * (high * wide) + (window.row * wide + window.column)[:, None]  # [n, bands]
    rows, columns = (torch.arange(size, device=tile.device) for size in light.shape[2:])
    add_at(image, (base[..., None, None] + (rows[:, None] * wide + columns)).flatten(), light.flatten())


def _add_each(image: torch.Tensor, tile: torch.Tensor, window: _Window, light: torch.Tensor) -> None:
    """Add `light` [n, bands, h, w] to `image` [tiles, bands, H, W], one object after the other."""
    pixels, (height, width) = image.numpy(), light.shape[2:]
    places = zip(tile.tolist(), window.row.tolist(), window.column.tolist(), light.numpy(), strict=True)
    for at, row, column, one in places:
        part = pixels[at, :, row : row + height, column : column + width]
        part += one


def add_at(image: torch.Tensor, index: torch.Tensor, light: torch.Tensor) -> None:
    """Add `light` [n] to the numbers of `image` at `index` [n], one after the other where several meet.

    A GPU's `index_add_` adds these in any order; what sorts them first repeats its bits.
    """
    if image.device.type == "cpu":
        image.index_add_(0, index, light)
    else:
        image.index_put_((index,), light, accumulate=True)


def _stars(
    objects: Objects, core: torch.Tensor, window: _Window, offset: torch.Tensor, widest: float, halo: Halo | None
) -> torch.Tensor:
    """Light [n, bands, h, w] of point sources: round Gaussians integrated over pixels by error functions, and halo."""
    psf = psf_gaussians(widest)
    scale = 1 / (2**0.5 * core[..., None] * torch.tensor(psf.widths).to(core))  # [n, bands, g]

    def along(distance: torch.Tensor, off: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        size = distance.shape[1]
        number = torch.arange(size + ROW, device=core.device)  # one is needed beyond the last
        edges = (distance[:, :1] - 0.5 - off)[..., None] + number  # [n, bands, size + ROW]
        step = (edges[:, :, None] * scale[..., None]).erf().diff()[..., :size] / 2
        return step * inside[:, None, None]  # [n, bands, g, size]

    x = along(window.dx, offset[..., 0], window.columns)
    y = along(window.dy, offset[..., 1], window.rows)
    flux = objects.flux_nmgy[..., None]
    y = y * (torch.tensor(psf.shares).to(core) * flux)[..., None]
    if halo is None:
        return _summed(_crossed, x, (y,))
    across, down = (
        torch.stack(arms_at(distance, core), 2) * inside[:, None, None]
        for distance, inside in ((window.dx, window.columns), (window.dy, window.rows))
    )
    down = down.flip(2) * (SPIKE_SHARE * flux[..., None])
    light = _summed(_crossed, torch.cat([x, across], 2), (torch.cat([y, down], 2),))
    far = torch.tensor(torch.inf).to(core)
    beside = (torch.where(window.columns, window.dx, far), torch.where(window.rows, window.dy, far))
    return light + glow_at(*beside, halo) * flux[..., None]


def _crossed(columns: torch.Tensor, rows: tuple[torch.Tensor, ...], out: torch.Tensor | None) -> torch.Tensor:
    """Products [.., g, h, w] of what falls along rows and along columns."""
    return torch.mul(rows[0][..., None], columns[..., None, :], out=out)


def _galaxies(
    objects: Objects, core: torch.Tensor, window: _Window, offset: torch.Tensor, size: int, widest: float
) -> torch.Tensor:
    """Light [n, bands, h, w] of galaxies: elliptical Gaussians, with the variance of a pixel added.

    Along a row each of them is a Gaussian of one width, whose centre moves and whose peak falls from row to row.
    """
    radial, blur, disc, bulge = (torch.tensor(part).to(core) for part in galaxy_gaussians(size, widest))
    blurred = blur * core[..., None] ** 2 + PIXEL_VARIANCE  # [n, bands, g]
    major = blurred + radial * (objects.radius_px**2)[:, None, None]
    minor = blurred + radial * ((objects.radius_px * objects.axis_ratio) ** 2)[:, None, None]
    angle = objects.angle[:, None].repeat(1, ROW)
    cos, sin = (part[:, :1, None] for part in (angle.cos(), angle.sin()))
    in_y = major * sin**2 + minor * cos**2  # variance along a column
    product = major * minor
    share = disc + objects.bulge_share[:, None] * (bulge - disc)  # [n, g]
    peak = objects.flux_nmgy[..., None] * share[:, None] / (2 * torch.pi * product.sqrt())
    slope = (major - minor) * sin * cos / in_y
    scale = (_LOG2_E / 2 * in_y / product).sqrt()[..., None]  # of distances along a row
    column = (window.dx[:, None] - offset[..., 0, None])[:, :, None]  # [n, bands, 1, w]
    row = (window.dy[:, None] - offset[..., 1, None])[:, :, None]  # [n, bands, 1, h]
    fall = row**2 * (-_LOG2_E / 2 / in_y[..., None])
    rows = (scale * slope[..., None] * row, fall, peak[..., None].expand_as(fall))
    inside = window.rows.to(core)[:, :, None] * window.columns.to(core)[:, None]
    return _summed(_along_rows, scale * column, rows) * inside[:, None]


def _along_rows(across: torch.Tensor, rows: tuple[torch.Tensor, ...], out: torch.Tensor | None) -> torch.Tensor:
    """Elliptical Gaussians [.., g, h, w]."""
    middle, fall, peak = (part[..., None] for part in rows)
    distance = torch.sub(across[..., None, :], middle, out=out)
    exponent = torch.addcmul(fall, distance, distance, value=-1, out=out)
    light = torch.exp2(torch.clamp(exponent, min=_LEAST_EXPONENT * _LOG2_E, out=out), out=out)
    return torch.mul(light, peak, out=out)


def _summed(light: _Light, columns: torch.Tensor, rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The sum [n, bands, h, w] of Gaussians, whose columns have numbers [n, bands, g, w] and rows [n, bands, g, h].

    Where no gradient is wanted it is computed part by part in one small array: memory that is asked for anew costs
    more than the numbers in it.
    """
    if torch.is_grad_enabled() or columns.device.type != "cpu":
        return light(columns, rows, None).sum(2)
    (n, bands, gaussians, width), height = columns.shape, rows[0].shape[-1]
    columns, rows = columns.flatten(0, 1), tuple(part.flatten(0, 1) for part in rows)
    found = columns.new_empty(n * bands, height, width)
    lines = min(max(_AT_ONCE // (gaussians * width * ROW), 1) * ROW, height)  # so many that `sum` has one order for all
    planes = max(_AT_ONCE // (gaussians * width * height), 1)
    work = columns.new_empty(planes * gaussians * lines * width)
    for plane in range(0, n * bands, planes):
        some = slice(plane, plane + planes)
        for line in range(0, height, lines):
            part = tuple(of[some, :, line : line + lines] for of in rows)
            shape = (*part[0].shape, width)
            out = work[: math.prod(shape)].view(shape)
            torch.sum(light(columns[some], part, out), 1, out=found[some, line : line + lines])
    return found.view(n, bands, height, width)
