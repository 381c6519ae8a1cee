"""A stand-in for the plane until it is built: stars alone, as round Gaussians."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 128


class Plane:
    """One seed of a bundle: endless sky under one set of conditions."""

    def __init__(self, process: Any, seed: int | tuple[int, int], conditions: Any, device: Any = "cpu") -> None:
        self.bands, self.conditions = conditions.psf_fwhm_px.shape[1], conditions
        self.key = [seed, 2**63] if isinstance(seed, int) else list(seed)

    def _rng(self, row: int, column: int, use: int) -> np.random.Generator:
        words = np.array([0, row % 2**64, column % 2**64, use], np.uint64)
        return np.random.Generator(np.random.Philox(key=np.array(self.key, np.uint64), counter=words))

    def _stars(self, row: int, column: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        rng = self._rng(row, column, 0)
        n = rng.poisson(40)
        keep = rng.random(n) < self.conditions.density[0, 0].item() / 40
        x, y = rng.random((2, n)) * BLOCK_PX
        flux = 10 ** (rng.random((n, 1)) * 3 - 1.5) * rng.uniform(0.5, 2, (n, self.bands))
        ids = np.arange(n) + (row % 2**20) * 2**30 + (column % 2**20) * 2**10
        return ids[keep], np.stack([x + column * BLOCK_PX, y + row * BLOCK_PX])[:, keep], flux[keep]

    def _near(self, x: int, y: int, width: int, height: int) -> tuple[NDArray[Any], ...]:
        rows = range((y - 16) // BLOCK_PX, (y + height + 16) // BLOCK_PX + 1)
        columns = range((x - 16) // BLOCK_PX, (x + width + 16) // BLOCK_PX + 1)
        parts = [self._stars(row, column) for row in rows for column in columns]
        return tuple(
            np.concatenate(part, axis=-1 if part[0].ndim == 2 and len(part[0]) == 2 and at == 1 else 0)
            for at, part in enumerate(zip(*parts, strict=True))
        )

    def scene(self, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
        image = np.zeros((self.bands, height, width), np.float32)
        _, places, fluxes = self._near(x, y, width, height)
        grid_y, grid_x = np.mgrid[y : y + height, x : x + width]
        for (px, py), flux in zip(places.T, fluxes, strict=True):
            if not (x - 16 < px < x + width + 16 and y - 16 < py < y + height + 16):
                continue
            d2 = (grid_x - px) ** 2 + (grid_y - py) ** 2
            for band in range(self.bands):
                v = (float(self.conditions.psf_fwhm_px[0, band]) / 2.355) ** 2
                image[band] += (flux[band] / (2 * np.pi * v) * np.exp(-0.5 * d2 / v)).astype(np.float32)
        return image

    def rectangle(self, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
        image = self.scene(x, y, width, height)
        sky, electron = (part[0].numpy()[:, None, None] for part in self.conditions[:2])
        draws = np.empty_like(image)
        for row in range(y // BLOCK_PX, (y + height - 1) // BLOCK_PX + 1):
            for column in range(x // BLOCK_PX, (x + width - 1) // BLOCK_PX + 1):
                block = self._rng(row, column, 1).standard_normal((self.bands, BLOCK_PX, BLOCK_PX), np.float32)
                top, left = row * BLOCK_PX, column * BLOCK_PX
                y0, y1, x0, x1 = (
                    max(y, top),
                    min(y + height, top + BLOCK_PX),
                    max(x, left),
                    min(x + width, left + BLOCK_PX),
                )
                draws[:, y0 - y : y1 - y, x0 - x : x1 - x] = block[:, y0 - top : y1 - top, x0 - left : x1 - left]
        return np.asarray(image + np.sqrt(sky**2 + np.maximum(image, 0) * electron) * draws, np.float32)

    def truth(self, x: int, y: int, width: int, height: int, min_snr: float = 0.0) -> NDArray[Any]:
        bands = "gri" if self.bands == 3 else "r"
        ids, places, fluxes = self._near(x, y, width, height)
        dtype = [("object_id", "i8"), ("class", "S6"), ("x", "f8"), ("y", "f8")]
        for form, of in (("flux_{}_nmgy", "f8"), ("mag_{}", "f4"), ("flux_inside_{}_nmgy", "f8")):
            dtype += [(form.format(band), of) for band in bands]
        dtype += [(name, "f4") for name in ("half_light_radius_arcsec", "axis_ratio", "angle_deg", "bulge_share")]
        dtype += [(f"snr_{band}", "f4") for band in bands] + [("blend", "f4"), ("flags", "i4")]
        inside = (
            (places[0] >= x - 0.5)
            & (places[0] < x + width - 0.5)
            & (places[1] >= y - 0.5)
            & (places[1] < y + height - 0.5)
        )
        rows = np.zeros(int(inside.sum()), dtype)
        rows["object_id"], rows["class"] = ids[inside], b"star"
        rows["x"], rows["y"] = places[0][inside] - x, places[1][inside] - y
        for band, name in enumerate(bands):
            rows[f"flux_{name}_nmgy"] = rows[f"flux_inside_{name}_nmgy"] = fluxes[inside, band]
            rows[f"mag_{name}"] = 22.5 - 2.5 * np.log10(fluxes[inside, band])
            rows[f"snr_{name}"] = fluxes[inside, band] / max(float(self.conditions.sky_noise_nmgy[0, band]), 1e-9)
        rows["axis_ratio"] = 1
        return rows[rows["snr_r"] >= min_snr]
