"""Keys that let a client in: `Authorization: Bearer KEY`, compared in a time that tells nothing about them."""

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.limits import refuse
from serving.metrics import REJECTED

MIN_CHARACTERS: Final = 16
KEYS: Final = "SKYGEN_API_KEYS"
KEYS_FILE: Final = "SKYGEN_API_KEYS_FILE"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, section 2.1


class ApiKeys:
    """Middleware that answers 401 to a request without one of `keys`, unless its path is free.

    A free path is given as it is, or with a slash at its end as a folder of free paths: `/page/`; `/` is itself alone.
    A preflight of CORS carries no key, so the middleware that answers those belongs outside this one.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], free: Collection[str] = ()) -> None:
        self.app = app
        self.free = frozenset(free)
        self.folders = tuple(path for path in free if path.endswith("/") and path != "/")
        self._digests = tuple(hashlib.sha256(key.encode()).digest() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and not self._is_free(scope["path"]) and not self._holds_key(scope):
            REJECTED.labels("auth").inc()
            challenge = {"WWW-Authenticate": "Bearer"}
            return await refuse(401, "send a valid key: Authorization: Bearer KEY", receive, send, challenge)
        return await self.app(scope, receive, send)

    def _is_free(self, path: str) -> bool:
        return path in self.free or path.startswith(self.folders)

    def _holds_key(self, scope: Scope) -> bool:
        """Whether the one Authorization header holds a key; every key is compared, whichever fits."""
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
        digest = hashlib.sha256(token.strip()).digest()
        found = 0
        for key in self._digests:
            found |= hmac.compare_digest(key, digest)
        return bool(found) and scheme.lower() == b"bearer"


def read_keys(listed: Sequence[str] = (), file: Path | None = None) -> tuple[str, ...]:
    """The keys of SKYGEN_API_KEYS, as listed, and of a file, which has one a line and comments after `#`.

    Raises `ValueError` where the file holds no key, since an open service would be a surprise, or where a key is too
    short or cannot be sent; the message counts the keys and tells none. Raises `OSError` where there is no such file.
    """
    sources = {KEYS: list(listed)}
    if file is not None:
        lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        sources[f"{KEYS_FILE} ({file})"] = in_file = [line for line in lines if line]
        if not in_file:
            raise ValueError(f"{KEYS_FILE} ({file}) holds no key; leave the variable out to serve without keys")
    for source, keys in sources.items():
        for number, key in enumerate(keys, 1):
            if problem := _problem(key):
                raise ValueError(f"key {number} of {source} {problem}")
    return tuple(dict.fromkeys(key for keys in sources.values() for key in keys))


def _problem(key: str) -> str:
    if len(key) < MIN_CHARACTERS:
        return f"has {len(key)} characters; it takes at least {MIN_CHARACTERS}, as from: openssl rand -hex 32"
    if not _TOKEN.fullmatch(key):
        return "holds other characters than letters, digits and -._~+/="
    return ""
