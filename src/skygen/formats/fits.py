"""Tiles as FITS: one image extension a tile, in nanomaggies, with where it comes from in its header.

The bytes depend on the tiles and their origin alone: no date is written, and the comments of CHECKSUM and DATASUM,
which astropy fills with the time of day, are fixed.
"""

import io

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.formats.origin import Origin


def to_fits(tiles: NDArray[np.float32], origin: Origin) -> bytes:
    """The bytes of a FITS file of tiles `[N, bands, H, W]` in nmgy: an empty primary HDU, then one image HDU a tile.

    An image is `[H, W]` for one band and `[bands, H, W]` for more, float32 (BITPIX -32), BUNIT 'nanomaggy', with valid
    CHECKSUM and DATASUM. Raises `ValueError` where the tiles do not have one plane a band.
    """
    origin.check(tiles.shape)
    images = tiles[:, 0] if len(origin.bands) == 1 else tiles
    hdus = [fits.PrimaryHDU(), *(_image_hdu(image, index, origin) for index, image in enumerate(images))]
    for hdu in hdus:
        hdu.add_datasum(when="data unit checksum")
        hdu.add_checksum(when="HDU checksum", override_datasum=True)
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()


def _image_hdu(image: NDArray[np.float32], index: int, origin: Origin) -> fits.ImageHDU:
    hdu = fits.ImageHDU(image, name="TILE", ver=index + 1)
    hdu.header.extend(
        [
            ("BUNIT", "nanomaggy", "unit of the pixels: 3.631 microjansky (AB)"),
            ("BANDS", ",".join(origin.bands), "bands, in the order of the planes"),
            ("PIXSCALE", origin.pixel_scale_arcsec, "[arcsec] width of a pixel"),
            ("TILES", origin.tiles, "tile set"),
            ("RECIPE", origin.recipe, "how the generator was trained"),
            ("MODEL", origin.model_sha256),
            ("SEED", origin.seed, "seed of the tiles"),
            ("INDEX", index, "place of this tile among the tiles of the seed"),
            ("NOISE", origin.noise, "noise asked for: survey, none, or [nmgy] in r"),
            ("SEEING", origin.seeing, "seeing asked for: survey, or [arcsec] FWHM"),
        ]
    )
    if origin.sky_noise_nmgy is not None:
        for band, noise in zip(origin.bands, origin.sky_noise_nmgy[index], strict=True):
            hdu.header[f"SKYSIG_{band.upper()}"] = (round(float(noise), 6), f"[nmgy] sky noise of a pixel in {band}")
    return hdu
