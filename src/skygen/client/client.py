"""The service as a class: a method for each kind of question."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from skygen.client.answers import Tiles, table_of, tiles_of
from skygen.client.transport import SkygenError, Transport

if TYPE_CHECKING:
    from astropy.table import Table

CHAMPION = "champion"
SURVEY = "survey"
Density = Mapping[str, float]  # of stars and of galaxies, each times the field's own


class Client:
    """The service at `url`, called with the API key `key` where it asks for one.

    A call waits up to `timeout` seconds for an answer, with None for ever. Where the service is too busy (429, 503) or
    cannot be reached, it is called again up to `retries` times, after the pause that it asks for, or longer and longer
    ones; not where it asks for more than `timeout`, or an hour. Whatever else goes wrong, an argument too, is a
    `SkygenError` at once. Proxies are those of the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY. Threads
    may share a client.

    Of all calls: `tiles` is a set such as r64 or gri128, `model` a recipe or champion. Of recipes whose generator is a
    process, `noise` is survey, none, or a level in nmgy for r; `seeing` is survey, or the FWHM of the PSF in arcsec;
    `density` is times the field's own stars and galaxies, such as `{"stars": 0.5, "galaxies": 2}`.
    """

    def __init__(
        self,
        url: str = "http://localhost:3000",
        key: str | None = None,
        timeout: float | None = 60.0,
        retries: int = 5,
    ) -> None:
        self._http = Transport(url, key, timeout, retries)
        self._cards: dict[str, dict[str, Any]] = {}  # by the model's sha256

    def generate(
        self,
        tiles: str,
        n: int = 1,
        seed: int = 0,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        first: int = 0,
        density: Density | None = None,
    ) -> Tiles:
        """Tiles `first` to `first + n - 1` of `seed`: tile i of a seed is the same in every call."""
        asked = {"tiles": tiles, "n": n, "seed": seed, "model": model, "noise": noise, "seeing": seeing, "first": first}
        return self._tiles(self._http.post("generate", asked | _of(density), "npy"), seed)

    def fits(
        self,
        tiles: str,
        n: int = 1,
        seed: int = 0,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        first: int = 0,
        density: Density | None = None,
        truth: bool = False,
    ) -> bytes:
        """The tiles that `generate` gives, as a FITS file with an image extension for each.

        With `truth` a table TRUTH of the objects in it stands behind each image.
        """
        asked = {"tiles": tiles, "n": n, "seed": seed, "model": model, "noise": noise, "seeing": seeing, "first": first}
        return self._http.post("generate", asked | _of(density) | ({"truth": True} if truth else {}), "fits").content

    def catalogue(
        self,
        tiles: str,
        n: int = 1,
        seed: int = 0,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        first: int = 0,
        density: Density | None = None,
        min_snr: float = 0.0,
    ) -> "Table":
        """What lies in the tiles that `generate` gives, of a process: an astropy Table, a row an object.

        `min_snr` is the least signal-to-noise ratio of one, in some band. Raises `SkygenError` without astropy.
        """
        asked = {"tiles": tiles, "n": n, "seed": seed, "model": model, "noise": noise, "seeing": seeing, "first": first}
        return table_of(self._http.post("catalogue", asked | _of(density) | {"min_snr": min_snr}, "ecsv"))

    def sky(
        self,
        tiles: str,
        seed: int = 0,
        x: int = 0,
        y: int = 0,
        width: int = 256,
        height: int = 256,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        density: Density | None = None,
    ) -> Tiles:
        """A rectangle of the endless sky of `seed`, of a process, as `Tiles` of one: flux [1, bands, height, width].

        Its first pixel is pixel (x, y) of the sky; rectangles that overlap agree there bit for bit.
        """
        asked = {"tiles": tiles, "seed": seed, "x": x, "y": y, "width": width, "height": height, "model": model}
        return self._tiles(
            self._http.post("sky", asked | {"noise": noise, "seeing": seeing} | _of(density), "npy"), seed
        )

    def sky_catalogue(
        self,
        tiles: str,
        seed: int = 0,
        x: int = 0,
        y: int = 0,
        width: int = 256,
        height: int = 256,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        density: Density | None = None,
        min_snr: float = 0.0,
    ) -> "Table":
        """What lies in the rectangle that `sky` gives, as `catalogue` tells it."""
        asked = {"tiles": tiles, "seed": seed, "x": x, "y": y, "width": width, "height": height, "model": model}
        asked |= {"noise": noise, "seeing": seeing, "min_snr": min_snr}
        return table_of(self._http.post("sky/catalogue", asked | _of(density), "ecsv"))

    def interpolate(
        self,
        tiles: str,
        seed: int,
        to: int,
        steps: int = 9,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        index: int = 0,
    ) -> Tiles:
        """The walk from tile `index` of `seed` to that of the seed `to`, in equal steps, both ends included."""
        asked = {"tiles": tiles, "seed": seed, "to": to, "steps": steps, "model": model, "index": index}
        return self._tiles(self._http.post("interpolate", asked | {"noise": noise, "seeing": seeing}, "npy"), seed)

    def tile(
        self,
        tiles: str,
        seed: int,
        index: int = 0,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        version: str | None = None,
        density: Density | None = None,
    ) -> Tiles:
        """One tile [1, bands, H, W], from an address that caches keep; `version`: the sha256 of the model to use."""
        query = {"index": index, "model": model, "noise": noise, "seeing": seeing, "version": version}
        query |= density or {}
        return self._tiles(self._http.get(f"tile/{quote(tiles, '', errors='replace')}/{seed}.npy", query), seed)

    def measure(
        self,
        tiles: str,
        seed: int,
        index: int = 0,
        model: str = CHAMPION,
        noise: str | float = SURVEY,
        seeing: str | float = SURVEY,
        version: str | None = None,
        density: Density | None = None,
    ) -> dict[str, Any]:
        """What the service measures of the tile that `tile` gives: flux histogram and sky noise, and sources in r."""
        query = {"index": index, "model": model, "noise": noise, "seeing": seeing, "version": version}
        query |= density or {}
        answer = self._http.get(f"measure/{quote(tiles, '', errors='replace')}/{seed}", query)
        try:
            measured: dict[str, Any] = answer.json()
        except ValueError as error:
            raise self._another("measurements", answer) from error
        return measured

    def models(self) -> list[dict[str, Any]]:
        """The card of every model: its set, recipe, bands, pixel scale, metrics, sha256, whether it is the champion."""
        answer = self._http.get("models", {})
        try:
            cards: list[dict[str, Any]] = answer.json()["models"]
            self._cards = {card["sha256"]: card for card in cards}
        except (ValueError, LookupError, TypeError) as error:
            raise self._another("models", answer) from error
        return cards

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _another(self, what: str, answer: httpx.Response) -> SkygenError:
        return SkygenError(f"{self._http.name} is another service: it has no {what}", answer.status_code)

    def _tiles(self, answer: httpx.Response, seed: int) -> Tiles:
        sha256 = answer.headers.get("X-Skygen-Model", "")
        if sha256 not in self._cards:
            self.models()
        if sha256 not in self._cards:
            raise SkygenError(f"{self._http.name} does not hold the model {sha256} that drew these tiles: ask again")
        card = self._cards[sha256]
        try:
            return tiles_of(answer, card, seed)
        except (ValueError, LookupError, EOFError) as error:
            raise self._another("tiles", answer) from error


def _of(density: "Density | None") -> dict[str, Any]:
    return {} if density is None else {"density": dict(density)}
