"""What our two clients of HTTP share: the proxy that the environment names for an address, and the pause asked for.

httpx fails on variables of proxies that other programs accept.
"""

import importlib.util
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies

_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}


class ProxyError(ValueError):
    """The proxy that the environment names cannot be used; the message names the variable and what to do."""


@dataclass(frozen=True)
class Proxy:
    """A proxy and the variable that names it; in words it is without a password."""

    url: str
    variable: str

    def __str__(self) -> str:
        return f"the proxy {masked(self.url)} that {self.variable} names"


def proxy_for(url: str) -> Proxy | None:
    """The proxy for calls to `url` (of http or https), None where it is to be called without.

    As curl has it: by HTTP_PROXY or HTTPS_PROXY, else ALL_PROXY, in capitals or not, but for what NO_PROXY excepts.
    Variables that do not concern `url` are not judged. Raises `ProxyError` where the proxy cannot be used.
    """
    address, proxies = urlsplit(url), getproxies()
    kind = address.scheme if proxies.get(address.scheme) else "all"
    said, host = proxies.get(kind, "").strip(), (address.hostname or "").lower()
    if not said or _is_excepted(host, address.port or _PORTS[address.scheme], proxies.get("no", "")):
        return None
    variable = next(
        (name for name in sorted(os.environ, reverse=True) if name.lower() == f"{kind}_proxy"), "the system"
    )
    proxy = Proxy(said if "://" in said else f"http://{said}", variable)
    instead = f"or except the host by NO_PROXY={host}"
    if not _is_sound(proxy.url):
        raise ProxyError(
            f"{proxy} is none: it must be SCHEME://HOST:PORT, SCHEME one of {', '.join(_SCHEMES)}; mend it, {instead}"
        )
    if proxy.url.lower().startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise ProxyError(f"{proxy} needs the package socksio: pip install 'httpx[socks]', {instead}")
    return proxy


def masked(url: str) -> str:
    """`url` without the user and the password in it."""
    return re.sub(r"^([^/]*//)?.*@", lambda found: found[1] or "", url)


def asked_pause_s(headers: Mapping[str, str]) -> float:
    """Seconds that an answer's headers ask to wait: Retry-After, a number or a date (RFC 9110, 10.2.3); 0 without."""
    asked = headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _is_sound(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:  # a port that is no number, half a bracket
        return False


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether `exceptions` name the host: * for all, names with those below them, addresses, networks; maybe a port.

    Commas or spaces stand between them. What is none of these excepts nothing.
    """
    for exception in re.split(r"[,\s]+", exceptions.lower()):
        entry = exception.rpartition("://")[2].rstrip("/")
        with_port = re.fullmatch(r"(\[.*\]|[^:]*):(\d+)", entry)
        name, at = (with_port[1], int(with_port[2])) if with_port else (entry, port)
        if at == port and (name == "*" or _is_within(host, re.sub(r"[][]", "", name).lstrip("*."))):
            return True
    return False


def _is_within(host: str, name: str) -> bool:
    """Whether the host is the one of that name, or below it, or lies in the network."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:  # one of the two is a name
        return name != "" and (host == name or host.endswith(f".{name}"))
