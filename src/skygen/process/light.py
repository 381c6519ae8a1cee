"""The light of objects on canvases: pixel-integrated, through the survey's PSF, by sums of Gaussians."""

from typing import NamedTuple

import torch

from skygen.process.objects import Objects

# Sums of Gaussians: amplitudes, and variances in squares of the half-light radius (Hogg & Lang 2013,
# doi:10.1086/671228).
EXPONENTIAL = (
    (2.34853813e-03, 3.07995260e-02, 2.23364214e-01, 1.17949102e00, 4.33873750e00, 5.99820770e00),
    (1.20078965e-03, 8.84526493e-03, 3.91463084e-02, 1.39976817e-01, 4.60962500e-01, 1.50159566e00),
)
DE_VAUCOULEURS = (
    (4.26347652e-02, 2.40127183e-01, 6.85907632e-01, 1.51937350e00, 2.83627243e00, 4.46467501e00, 5.72440830e00, 5.60989349e00),
    (2.23759216e-04, 1.00220099e-03, 4.18731126e-03, 1.69432589e-02, 6.84850479e-02, 2.87207080e-01, 1.33320254e00, 8.40215071e00),
)  # fmt: skip
# Of the PSF: shares, and widths in those of its core.
PSF = ((0.745, 0.170, 0.085 * 0.45, 0.085 * 0.30, 0.085 * 0.25), (1.0, 2.02, 3.2 * 0.9, 3.2 * 2.3, 3.2 * 6.5))
FWHM_OF_CORE = 2.50  # full width at half maximum of the PSF in widths of its core
STAMP_SIDES = (16, 32, 64, 128)
_PIXEL_VARIANCE = 1 / 12


class Canvas(NamedTuple):
    """The shape of what is drawn on."""

    tiles: int
    bands: int
    height: int
    width: int


def core_px(psf_fwhm_px: torch.Tensor) -> torch.Tensor:
    """The width of the PSF's core where the FWHM as pixels sample it is `psf_fwhm_px`."""
    return ((psf_fwhm_px / FWHM_OF_CORE) ** 2 - _PIXEL_VARIANCE).sqrt()


def draw(
    objects: Objects, tile: torch.Tensor, psf_fwhm_px: torch.Tensor, canvas: Canvas, faint_nmgy: float
) -> torch.Tensor:
    """The light [tiles, bands, H, W] in nmgy of `objects` [n], each on its canvas `tile` [n]."""
    image = objects.flux_nmgy.new_zeros(canvas.tiles * canvas.bands * canvas.height * canvas.width)
    core = core_px(psf_fwhm_px)[tile]  # [n, bands]
    side = _sides(objects, core, faint_nmgy)
    for some in STAMP_SIDES:
        for galaxies in (False, True):
            chosen = ((side == some) & (objects.is_galaxy == galaxies)).nonzero().flatten()
            if len(chosen):
                part = objects.take(chosen)
                stamps = (_galaxies if galaxies else _stars)(part, core[chosen], some)
                image = _add(image, stamps, part, tile[chosen], canvas)
    return image.view(canvas)


def _sides(objects: Objects, core: torch.Tensor, faint: float) -> torch.Tensor:
    with torch.no_grad():
        flux, width = objects.flux_nmgy.amax(-1), core.amax(-1)
        reach = 3.2 * width + 2.2 * objects.radius_px
        excess = flux / (6.28 * (width**2 + objects.radius_px**2)) / faint
        reach = reach * (0.45 + 0.25 * excess.clamp(min=1).log10())
        wings = (0.02 * flux * width / faint / 6.28).clamp(min=0) ** (1 / 3) * 2
        needed = 2 * torch.maximum(reach, wings)
        sides = torch.tensor(STAMP_SIDES, device=flux.device)
        return sides[torch.bucketize(needed, sides).clamp(max=len(STAMP_SIDES) - 1)]


def _first(centre: torch.Tensor, side: int) -> torch.Tensor:
    return (centre - side / 2).ceil().long()


def _stars(objects: Objects, core: torch.Tensor, side: int) -> torch.Tensor:
    """Stamps [n, bands, side, side] of point sources: pixel-integrated round Gaussians, products of two error functions."""
    share, width = core.new_tensor(PSF[0]), core.new_tensor(PSF[1])
    scale = 1 / (2**0.5 * core[..., None] * width)  # [n, bands, g]
    edges = torch.arange(side + 1, device=core.device, dtype=core.dtype) - 0.5

    def along(centre: torch.Tensor) -> torch.Tensor:
        distance = edges + (_first(centre, side) - centre)[:, None]
        return (distance[:, None, None] * scale[..., None]).erf().diff() / 2  # [n, bands, g, side]

    x, y = along(objects.x), along(objects.y)
    return torch.einsum("nbgi,nbgj->nbij", y * (share * objects.flux_nmgy[..., None])[..., None], x)


def _galaxies(objects: Objects, core: torch.Tensor, side: int) -> torch.Tensor:
    """Stamps [n, bands, side, side] of galaxies: elliptical Gaussians, with the variance of a pixel added."""
    offset = torch.arange(side, device=core.device, dtype=core.dtype)
    dx = offset + (_first(objects.x, side) - objects.x)[:, None]
    dy = offset + (_first(objects.y, side) - objects.y)[:, None]
    cos, sin = objects.angle.cos(), objects.angle.sin()
    along = (dx[:, None, :] * cos[:, None, None] + dy[:, :, None] * sin[:, None, None]) ** 2  # [n, side, side]
    across = (dy[:, :, None] * cos[:, None, None] - dx[:, None, :] * sin[:, None, None]) ** 2
    major, minor = objects.radius_px**2, (objects.radius_px * objects.axis_ratio) ** 2
    total: torch.Tensor = core.new_zeros(())
    bulge = objects.bulge_share
    for share, (amplitudes, variances), most in ((1 - bulge, EXPONENTIAL, 2), (bulge, DE_VAUCOULEURS, 3)):
        whole = sum(amplitudes)
        for amplitude, variance in zip(amplitudes[most:], variances[most:], strict=True):
            lost = sum(amplitudes[:most]) / whole if variance == variances[most] else 0.0
            for psf_share, psf_width in zip(PSF[0][:3], PSF[1][:3], strict=True):
                seen = (core * psf_width) ** 2 + _PIXEL_VARIANCE
                a, b = major[:, None] * variance + seen, minor[:, None] * variance + seen  # [n, bands]
                weight = share * (amplitude / whole + lost) * psf_share / sum(PSF[0][:3])
                peak = objects.flux_nmgy * weight[:, None] / (6.283185307 * (a * b).sqrt())
                power = along[:, None] / a[..., None, None] + across[:, None] / b[..., None, None]
                total = total + peak[..., None, None] * (-0.5 * power).exp()
    return total


def _add(
    image: torch.Tensor, stamps: torch.Tensor, objects: Objects, tile: torch.Tensor, canvas: Canvas
) -> torch.Tensor:
    side = stamps.shape[-1]
    offset = torch.arange(side, device=image.device)
    columns, rows = _first(objects.x, side)[:, None] + offset, _first(objects.y, side)[:, None] + offset
    inside = ((rows >= 0) & (rows < canvas.height))[:, :, None] & ((columns >= 0) & (columns < canvas.width))[:, None]
    at = rows.clamp(0, canvas.height - 1)[:, :, None] * canvas.width + columns.clamp(0, canvas.width - 1)[:, None]
    plane = (
        (tile[:, None] * canvas.bands + torch.arange(canvas.bands, device=image.device)) * canvas.height * canvas.width
    )
    index = plane[:, :, None, None] + at[:, None]
    return image.index_add(0, index.flatten(), (stamps * inside[:, None]).flatten())
