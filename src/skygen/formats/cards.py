"""What the FITS headers of tiles and of their truth say alike: where they come from."""

from dataclasses import dataclass
from typing import Self, TypeVar

from skygen.formats.origin import Origin
from skygen.formats.wcs import FICTITIOUS, Cards

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """What the headers of many tiles have in common."""

    bands: tuple[str, ...]
    pixel_scale_arcsec: float
    tiles: str
    recipe: str
    model_sha256: str
    noise: str | float
    seeing: str | float
    softening_nmgy: float | None
    limit_nmgy: float | None
    has_sky_noise: bool
    has_sky_level: bool
    walks: bool
    density: tuple[float, float] | None
    plane: str
    """The keywords of a plane's key, where tiles lie on planes, else empty."""

    @classmethod
    def of(cls, origin: Origin) -> Self:
        """Of the tiles of which `origin` tells."""
        return cls(
            tuple(origin.bands),
            origin.pixel_scale_arcsec,
            origin.tiles,
            origin.recipe,
            origin.model_sha256,
            _as_float(origin.noise),
            _as_float(origin.seeing),
            _as_float(origin.softening_nmgy),
            _as_float(origin.limit_nmgy),
            origin.sky_noise_nmgy is not None,
            origin.sky_level_nmgy is not None,
            origin.towards is not None,
            None if origin.density is None else (float(origin.density[0]), float(origin.density[1])),
            "" if origin.places is None else "SEED" if origin.is_of_seed_alone else "SEED,INDEX",
        )


def cards(kind: Kind) -> Cards:
    """Where tiles of a kind come from, with 0 for what `numbers` gives."""
    found: Cards = [
        ("BANDS", ",".join(kind.bands), "bands, in the order of the planes"),
        ("PIXSCALE", kind.pixel_scale_arcsec, "[arcsec] width of a pixel"),
        ("TILES", kind.tiles, "tile set"),
        ("RECIPE", kind.recipe, "how the generator was trained"),
        ("MODEL", kind.model_sha256, ""),
        ("SEED", 0, "seed of the tiles"),
        ("INDEX", 0, "place of this tile among the tiles of the seed"),
        ("NOISE", kind.noise, "noise asked for: survey, none, or [nmgy] in r"),
        ("SEEING", kind.seeing, "seeing asked for: survey, or [arcsec] FWHM"),
    ]
    if kind.walks:
        found += [("TOWARDS", 0, "seed to which this tile is on the way"), ("SHARE", 0, "share of the way, 0 to 1")]
    if kind.softening_nmgy is not None:
        found.append(("SOFTEN", kind.softening_nmgy, "[nmgy] s; the network paints asinh(flux/s)"))
    if kind.limit_nmgy is not None:
        found.append(("LIMIT", kind.limit_nmgy, "[nmgy] largest flux that it can paint"))
    if kind.density is not None:
        stars, galaxies = kind.density
        found += [
            ("DENSSTAR", stars, "stars asked for, times the field's own"),
            ("DENSGAL", galaxies, "galaxies asked for, times the field's own"),
        ]
    if kind.has_sky_noise:
        found += [(f"SKYSIG_{band.upper()}", 0, f"[nmgy] sky noise of a pixel in {band}") for band in kind.bands]
    if kind.has_sky_level:
        found += [(f"SKYLEV_{band.upper()}", 0, f"[nmgy] sky level added in {band}") for band in kind.bands]
    if kind.plane:
        found += [
            FICTITIOUS,
            ("PLANE", kind.plane, "keywords that tell one plane from another"),
            ("PLANEX", 0, "column of the plane at the first pixel"),
            ("PLANEY", 0, "row of the plane at the first pixel"),
        ]
    return [card for card in found if card[0] != "INDEX" or kind.plane != "SEED"]


def numbers(origin: Origin, place: int) -> dict[str, int | float]:
    """What the header of the tile at `place` says that others do not."""
    found: dict[str, int | float] = {"SEED": origin.seed}
    if not origin.is_of_seed_alone:
        found["INDEX"] = origin.index(place)
    if origin.towards is not None and origin.shares is not None:
        found |= {"TOWARDS": origin.towards, "SHARE": round(float(origin.shares[place]), 9)}
    for name, values in (("SKYSIG", origin.sky_noise_nmgy), ("SKYLEV", origin.sky_level_nmgy)):
        if values is not None:
            for band, value in zip(origin.bands, values[place], strict=True):
                found[f"{name}_{band.upper()}"] = round(float(value), 6)
    if origin.places is not None:
        found |= {"PLANEX": origin.places[place].x, "PLANEY": origin.places[place].y}
    return found


def _as_float(value: T | int) -> T | float:
    """A whole number as a float: equal to it, and so in the cache of headers, it would be written without a point."""
    return float(value) if isinstance(value, int) else value
