"""A client of the service: arrays of flux by seed. It needs httpx and numpy, and of skygen the file web alone.

Catalogues need astropy too.
"""

import io
import json
import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from skygen.web import Proxy, ProxyError, asked_pause_s, masked, proxy_for

if TYPE_CHECKING:
    from astropy.table import Table

CHAMPION = "champion"
SURVEY = "survey"
Density = Mapping[str, float]  # of stars and of galaxies, each times the field's own
UNIT = "nanomaggy"  # 3.631 microjansky (AB): a magnitude of 22.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_BUSY = (429, 503)
_LONGEST_TIMEOUT_S = 1e6  # beyond it sockets refuse
_LONGEST_BUSY_S = 3600.0  # a service that asks for a longer pause is not busy, but closed


class SkygenError(Exception):
    """What the service refused or could not do: its sentence, its status, and the field of the request at fault.

    `status` is None where there was no answer; `field` where no field is at fault.
    """

    def __init__(self, message: str, status: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.field = status, field


@dataclass(frozen=True, eq=False)  # arrays are not equal or unequal as a whole
class Tiles:
    """Tiles as flux [n, bands, H, W] float32 in nanomaggies, and what made them."""

    flux: NDArray[np.float32]
    bands: tuple[str, ...]
    pixel_scale_arcsec: float
    recipe: str
    model_sha256: str
    engine: str  # which computed the model: the last bits are its own
    seed: int
    unit: str = UNIT

    def __len__(self) -> int:
        """The number of tiles."""
        return len(self.flux)

    def band(self, name: str) -> NDArray[np.float32]:
        """The tiles in one band [n, H, W]; raises `ValueError` where the set has no such band."""
        if name not in self.bands:
            raise ValueError(f"no band {name!r} here; there is {', '.join(self.bands)}")
        return self.flux[:, self.bands.index(name)]


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
        address, self._timeout = _address(url), _seconds(timeout)
        self._retries, headers = _retries(retries), _headers(key, address)
        self._name = str(address.copy_with(userinfo=b"")).rstrip("/")  # without a password
        try:
            proxy = proxy_for(str(address))
        except ProxyError as error:
            raise SkygenError(str(error)) from error
        # What to look at where a call fails.
        self._through = f" (through {proxy}; NO_PROXY={address.host} would call without it)" if proxy else ""
        waits_s = None if math.isinf(self._timeout) else self._timeout
        self._http = httpx.Client(
            base_url=address, headers=headers, timeout=waits_s, transport=_carrier(address, proxy)
        )
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
        return self._tiles(self._post("generate", asked | _of(density), "npy"), seed)

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
        return self._post("generate", asked | _of(density) | ({"truth": True} if truth else {}), "fits").content

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
        return _table(self._post("catalogue", asked | _of(density) | {"min_snr": min_snr}, "ecsv"))

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
        return self._tiles(self._post("sky", asked | {"noise": noise, "seeing": seeing} | _of(density), "npy"), seed)

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
        return _table(self._post("sky/catalogue", asked | _of(density), "ecsv"))

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
        return self._tiles(self._post("interpolate", asked | {"noise": noise, "seeing": seeing}, "npy"), seed)

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
        return self._tiles(self._get(f"tile/{quote(tiles, '', errors='replace')}/{seed}.npy", query), seed)

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
        answer = self._get(f"measure/{quote(tiles, '', errors='replace')}/{seed}", query)
        try:
            measured: dict[str, Any] = answer.json()
        except ValueError as error:
            raise self._another("measurements", answer) from error
        return measured

    def models(self) -> list[dict[str, Any]]:
        """The card of every model: its set, recipe, bands, pixel scale, metrics, sha256, whether it is the champion."""
        answer = self._call("GET", "/v1/models")
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
        return SkygenError(f"{self._name} is another service: it has no {what}", answer.status_code)

    def _get(self, route: str, query: Mapping[str, Any]) -> httpx.Response:
        said = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("GET", f"/v1/{route}", params=said)

    def _post(self, route: str, asked: Mapping[str, Any], name: Literal["npy", "fits", "ecsv"]) -> httpx.Response:
        plain = {field: value.item() if isinstance(value, np.generic) else value for field, value in asked.items()}
        try:
            body = json.dumps(plain | {"format": name}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SkygenError(
                f"the request cannot be written as JSON: {error}; give plain numbers and words"
            ) from error
        return self._call("POST", f"/v1/{route}", content=body, headers={"Content-Type": "application/json"})

    def _tiles(self, answer: httpx.Response, seed: int) -> Tiles:
        sha256 = answer.headers.get("X-Skygen-Model", "")
        if sha256 not in self._cards:
            self.models()
        if sha256 not in self._cards:
            raise SkygenError(f"{self._name} does not hold the model {sha256} that drew these tiles: ask again")
        card = self._cards[sha256]
        try:
            flux = np.load(io.BytesIO(answer.content), allow_pickle=False)
            return Tiles(
                flux=flux if flux.ndim == 4 else flux[None],  # a rectangle of a sky is [bands, H, W]
                bands=tuple(card["bands"]),
                pixel_scale_arcsec=card["pixel_scale_arcsec"],
                recipe=card["recipe"],
                model_sha256=sha256,
                engine=answer.headers["X-Skygen-Engine"],
                seed=int(seed),
            )
        except (ValueError, LookupError, EOFError) as error:
            raise self._another("tiles", answer) from error

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, where it is a success, after as many calls as that takes."""
        attempt = 0
        while not isinstance(answer := self._try(method, path, **request), httpx.Response):
            problem, asked_s = answer
            if attempt == self._retries or asked_s > min(self._timeout, _LONGEST_BUSY_S):
                raise problem
            pause_s = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
            sleep(asked_s + pause_s * np.random.default_rng().uniform(0.5, 1))  # so that not all come at once
            attempt += 1
        return answer

    def _try(self, method: str, path: str, **request: Any) -> httpx.Response | tuple[SkygenError, float]:
        """The answer to one call, or why there is none yet and the pause in seconds that was asked for.

        Raises `SkygenError` where another call would not help.
        """
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TimeoutException as error:
            raise SkygenError(f"{self._name} gave no answer within {self._timeout:g} s{self._through}") from error
        except httpx.TransportError as error:
            return SkygenError(f"{self._name} cannot be reached: {error}{self._through}"), 0.0
        except (httpx.HTTPError, UnicodeError) as error:  # content that is not what it says; a name that is no host's
            raise SkygenError(f"{self._name} cannot be asked: {error}{self._through}") from error
        if answer.is_success:
            return answer
        if answer.status_code not in _BUSY:
            raise _problem(answer, self._through)
        return _problem(answer, self._through), asked_pause_s(answer.headers)


def _of(density: "Density | None") -> dict[str, Any]:
    return {} if density is None else {"density": dict(density)}


def _table(answer: httpx.Response) -> "Table":
    """The table of a catalogue; raises `SkygenError` where astropy, which reads it, is not installed."""
    try:
        from astropy.table import Table
    except ImportError as error:
        raise SkygenError("a catalogue is read by astropy, which is not installed: pip install astropy") from error
    return Table.read(answer.text, format="ascii.ecsv")


def _address(url: str) -> httpx.URL:
    """The service's address; raises `SkygenError` where it is none of HTTP."""
    said = str(url).strip()
    wanted = "it must be like http://localhost:3000"
    try:
        address = httpx.URL(said)
    except httpx.InvalidURL as error:
        raise SkygenError(f"the address is {masked(said)!r} ({error}); {wanted}") from error
    if address.scheme not in ("http", "https") or not address.host:
        if "://" not in said and said.strip("/"):
            wanted = f"write http:// or https:// before it, such as http://{masked(said.lstrip('/'))}"
        raise SkygenError(f"the address is {masked(said)!r}, which is none of HTTP; {wanted}")
    if address.port not in (None, *range(1, 65536)) or any(map(str.isspace, said)):
        raise SkygenError(f"the address is {masked(said)!r}; {wanted}, without spaces, and with a port of 1 to 65535")
    if address.query or address.fragment:
        raise SkygenError(f"the address is {masked(said)!r}; leave out what follows the '?' or '#'")
    return address


def _seconds(timeout: float | None) -> float:
    """The seconds to wait, infinity for ever; raises `SkygenError` where none can be waited."""
    try:
        waits_s = math.inf if timeout is None else float(timeout)
    except (TypeError, ValueError):
        waits_s = math.nan
    if not 0 < waits_s <= _LONGEST_TIMEOUT_S and waits_s != math.inf:
        raise SkygenError(
            f"timeout is {timeout!r}; it must be seconds, above 0 and up to {_LONGEST_TIMEOUT_S:g}, or None for ever"
        )
    return waits_s


def _retries(retries: int) -> int:
    """How often to try again; raises `SkygenError` where that is no whole number from 0."""
    try:
        count = operator.index(retries)
    except TypeError:
        count = -1
    if count < 0:
        raise SkygenError(f"retries is {retries!r}; it must be a whole number, 0 or more")
    return count


def _headers(key: object, address: httpx.URL) -> dict[str, str]:
    """The headers of every call; raises `SkygenError`, which does not show the key, where it cannot be sent."""
    if key is None:
        return {}
    if not (isinstance(key, str) and key.isascii() and key.isprintable() and key.strip() == key != ""):
        raise SkygenError(
            "the key cannot be sent: it must be letters, digits and signs of ASCII, without a space or a line's end "
            "around it; copy it again, or strip() it where it comes from a file"
        )
    if address.userinfo:
        raise SkygenError("give a key, or a user in the address, not both: a call has room for one of them")
    return {"Authorization": f"Bearer {key}"}


def _carrier(address: httpx.URL, proxy: Proxy | None) -> httpx.HTTPTransport:
    """Connections to `address`; certificates are read where something is checked by them.

    Raises `SkygenError` where they cannot be read.
    """
    try:
        return httpx.HTTPTransport(verify=address.scheme == "https", proxy=proxy.url if proxy else None)
    except OSError as error:
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(name)]
        said = ", ".join(f"{name}={os.environ[name]}" for name in names)
        raise SkygenError(f"certificates cannot be read: {error}; mend or unset {said or 'SSL_CERT_FILE'}") from error


def _problem(answer: httpx.Response, through: str) -> SkygenError:
    """What is wrong, in the service's own words, or in those of what stands before it."""
    try:
        said = answer.json()
        detail = said.get("detail") or [{"loc": []}]
        field = ".".join(map(str, detail[0]["loc"])) or None
        return SkygenError(str(said["error"]), answer.status_code, field)
    except (ValueError, LookupError, AttributeError, TypeError):
        moved = answer.headers.get("Location") if answer.is_redirect else None
        text = (
            f"it has moved to {moved}: give the address that it has there"
            if moved
            else " ".join(answer.text.split())[:200]
        )
        return SkygenError(f"{answer.status_code} {answer.reason_phrase}: {text}{through}", answer.status_code)
