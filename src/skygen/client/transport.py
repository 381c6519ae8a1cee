"""Calls over HTTP: their address, key, proxy and certificates, and calling again where the service is busy."""

import json
import math
import operator
import os
from collections.abc import Mapping
from time import sleep
from typing import Any, Literal

import httpx
import numpy as np

from skygen.web import Proxy, ProxyError, asked_pause_s, masked, proxy_for

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


class Transport:
    """Connections to the service at `url`; see `Client`. Raises `SkygenError` for an argument that it cannot use."""

    def __init__(self, url: str, key: str | None, timeout: float | None, retries: int) -> None:
        address, self._timeout = _address(url), _seconds(timeout)
        self._retries, headers = _retries(retries), _headers(key, address)
        self.name = str(address.copy_with(userinfo=b"")).rstrip("/")  # without a password
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

    def close(self) -> None:
        """Close them."""
        self._http.close()

    def get(self, route: str, query: Mapping[str, Any]) -> httpx.Response:
        """The answer to a question; what is None in it is not asked."""
        said = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("GET", f"/v1/{route}", params=said)

    def post(self, route: str, asked: Mapping[str, Any], name: Literal["npy", "fits", "ecsv"]) -> httpx.Response:
        """The answer, in a format, to a question that is written as JSON."""
        plain = {field: value.item() if isinstance(value, np.generic) else value for field, value in asked.items()}
        try:
            body = json.dumps(plain | {"format": name}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SkygenError(
                f"the request cannot be written as JSON: {error}; give plain numbers and words"
            ) from error
        return self._call("POST", f"/v1/{route}", content=body, headers={"Content-Type": "application/json"})

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
            raise SkygenError(f"{self.name} gave no answer within {self._timeout:g} s{self._through}") from error
        except httpx.TransportError as error:
            return SkygenError(f"{self.name} cannot be reached: {error}{self._through}"), 0.0
        except (httpx.HTTPError, UnicodeError) as error:  # content that is not what it says; a name that is no host's
            raise SkygenError(f"{self.name} cannot be asked: {error}{self._through}") from error
        if answer.is_success:
            return answer
        if answer.status_code not in _BUSY:
            raise _problem(answer, self._through)
        return _problem(answer, self._through), asked_pause_s(answer.headers)


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
