"""Keys that let a client in: `Authorization: Bearer KEY`, compared in a time that tells nothing about them."""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.limits import refuse
from serving.monitoring.metrics import REJECTED, STALE_KEYS

MIN_CHARACTERS: Final = 16
KEYS: Final = "SKYGEN_API_KEYS"
KEYS_FILE: Final = "SKYGEN_API_KEYS_FILE"
NAME: Final = "skygen.key"  # of the key that let a request in, in its scope
LOOK_SECONDS: Final = 1.0  # from one look at the file to the next
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, section 2.1
_log = logging.getLogger(__name__)


class Keyring:
    """The keys of SKYGEN_API_KEYS, as `listed`, and of a file, which is read again when it has changed.

    Where it then cannot be read, or is wrong, the keys that were read last stay in force, and metric and log say so: a
    half-written file neither opens the service nor ends it. Raises as `read_keys` where it is wrong from the start.
    """

    def __init__(self, listed: Sequence[str] = (), file: Path | None = None) -> None:
        self._listed, self._file = listed, file and file.absolute()
        self._seen = _state(self._file)
        self._looked = time.monotonic()
        self._digests = _digests(read_keys(listed, self._file))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def name_of(self, token: bytes) -> str | None:
        """The name of the key `token`, or None where it is none; every key is compared, whichever fits."""
        self._look()
        digest, found = hashlib.sha256(token).digest(), None
        for key, name in self._digests.items():
            if hmac.compare_digest(key, digest):
                found = name
        return found

    def _look(self) -> None:
        if self._file is None or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        state = _state(self._file)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._digests = _digests(read_keys(self._listed, self._file))
        except (OSError, ValueError) as error:
            STALE_KEYS.set(1)
            _log.error("%s: the keys that were read last stay in force", error)
        else:
            STALE_KEYS.set(0)
            _log.info("%s was read again: %d keys", self._file, len(self._digests))


class ApiKeys:
    """Middleware that answers 401 to a request without one of `keys`, unless its path is free.

    A free path is given as it is, or with a slash at its end as a folder of free paths: `/page/`; `/` is itself alone.
    A preflight of CORS carries no key, so the middleware that answers those belongs outside this one. The key's name is
    left in the scope under `NAME`.
    """

    def __init__(self, app: ASGIApp, keys: Keyring, free: Collection[str] = ()) -> None:
        self.app, self.keys = app, keys
        self.free = frozenset(free)
        self.folders = tuple(path for path in free if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            name = self._name_of_key(scope)
            if name is None and not self._is_free(scope["path"]):
                REJECTED.labels("auth").inc()
                challenge = {"WWW-Authenticate": "Bearer"}
                return await refuse(401, "send a valid key: Authorization: Bearer KEY", receive, send, challenge)
            scope[NAME] = name
        return await self.app(scope, receive, send)

    def _is_free(self, path: str) -> bool:
        return path in self.free or path.startswith(self.folders)

    def _name_of_key(self, scope: Scope) -> str | None:
        """The name of the key that the one Authorization header holds."""
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
        name = self.keys.name_of(token.strip())
        return name if scheme.lower() == b"bearer" else None


def read_keys(listed: Sequence[str] = (), file: Path | None = None) -> Mapping[str, str]:
    """The name of each key: of those of SKYGEN_API_KEYS, as listed, and of a file.

    The file has a key a line, and after `#` a comment, which names the key of its line; others are named by their
    place. Raises `ValueError` where the file holds no key, since an open service would be a surprise, or where a key is
    too short or cannot be sent; the message counts the keys and tells none. Raises `OSError` where it cannot be read.
    """
    places = [(key, f"key {number} of {KEYS}", "") for number, key in enumerate(listed, 1)]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{KEYS_FILE} ({file}) is not UTF-8") from error
        except OSError as error:
            raise type(error)(error.errno, f"{KEYS_FILE}: {error.strerror}", str(file)) from error
        split = [[part.strip() for part in line.partition("#")[::2]] for line in lines]
        in_file = [(key, comment) for key, comment in split if key]
        if not in_file:
            raise ValueError(f"{KEYS_FILE} ({file}) holds no key; leave the variable out to serve without keys")
        places += [
            (key, f"key {number} of {KEYS_FILE} ({file})", comment) for number, (key, comment) in enumerate(in_file, 1)
        ]
    names: dict[str, str] = {}
    for key, place, comment in places:
        if problem := _problem(key):
            raise ValueError(f"{place} {problem}")
        names.setdefault(key, comment or place.replace(f" ({file})", ""))
    return names


def _digests(names: Mapping[str, str]) -> dict[bytes, str]:
    return {hashlib.sha256(key.encode()).digest(): name for key, name in names.items()}


def _state(file: Path | None) -> tuple[int, ...] | None:
    """What changes where a file is written or another takes its place; None where it is not there."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _problem(key: str) -> str:
    if len(key) < MIN_CHARACTERS:
        return f"has {len(key)} characters; it takes at least {MIN_CHARACTERS}, as from: openssl rand -hex 32"
    if not _TOKEN.fullmatch(key):
        return "holds other characters than letters, digits and -._~+/="
    return ""
