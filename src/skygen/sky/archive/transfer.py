"""One file over HTTP: fetched, resumed after a cut, tried again after a passing failure, checked, put in its place."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from skygen.files import make_folder, move, sha256_file, write_json
from skygen.web import asked_pause_s

MEBIBYTE = 1 << 20
PAUSE_S = 1.0  # after the first failure; it doubles with each further one, to LONGEST_PAUSES times this
LONGEST_PAUSES = 60
LONGEST_ASKED_PAUSE_S = 300.0  # that a server's Retry-After is heeded
LEAST_BYTES = 65_536  # to be received within the time-out: a connection that brings less is given up for a new one
_PASSING_STATUS = (408, 425, 429)  # and all of 500 and above
_ABSENT_STATUS = (404, 410)


class PassingError(Exception):
    """An attempt failed in a way that a later one may not."""

    def __init__(self, cause: str, pause_s: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(cause)
        self.pause_s = pause_s  # at least, before the next attempt
        self.unreachable = unreachable  # no connection came about


class RefusedError(Exception):
    """The server will not give this file, now or later: the cause."""


class AbsentError(RefusedError):
    """The server says that it has no such file."""


@dataclass(frozen=True)
class Kind:
    """What a file must be: its first bytes, the most bytes it may have, and a check of the whole (`ValueError`)."""

    begins: bytes
    bytes_at_most: int
    check: Callable[[Path], None]


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: from where, to where, and what it must be."""

    url: str
    path: Path
    kind: Kind


@dataclass(frozen=True)
class Patience:
    """How long to go on: attempts that bring under a mebibyte, seconds for an answer, the first pause in seconds.

    As many seconds are left for each further 64 KiB.
    """

    attempts: int
    timeout_s: float
    pause_s: float = PAUSE_S


class Meter(Protocol):
    """Told of what is received."""

    def begin(self, path: Path, size: int | None, left: int | None) -> None:
        """A server begins to send the file at `path`, of `size` bytes in all of which `left` are to come."""

    def got(self, path: Path, count: int) -> None:
        """So many bytes more have arrived."""


class _Memo(BaseModel):
    """What must still hold of the server's file for a partial one to be gone on with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    validator: str  # a strong ETag, or the date of the last change
    size: int


async def fetch(client: httpx.AsyncClient, wanted: Wanted, patience: Patience, meter: Meter) -> str:
    """The SHA-256 of the file, once it lies whole and checked at `wanted.path`.

    What has arrived is kept beside it in a file that ends in `.part`, from which a later call goes on, also that of
    another process. Raises `RefusedError` where the server will not give it (`AbsentError`: has no such file),
    `PassingError`, the last one, where so many attempts in a row failed, and `OSError` where the disk fails.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(PassingError),
        stop=stop_after_attempt(patience.attempts),
        wait=lambda state: pause_s(state, patience.pause_s),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            await _advance(client, wanted, patience, meter)
    return await asyncio.to_thread(_settle, wanted)


def pause_s(state: RetryCallState, first_s: float) -> float:
    """Seconds before the next attempt: twice as many each time, with jitter; or what the server asks, if more."""
    growing = wait_exponential(multiplier=first_s, max=LONGEST_PAUSES * first_s) + wait_random(0, first_s)
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause_s if isinstance(error, PassingError) else 0.0
    return max(growing(state), min(asked, LONGEST_ASKED_PAUSE_S))


async def _advance(client: httpx.AsyncClient, wanted: Wanted, patience: Patience, meter: Meter) -> None:
    """Receive the file's rest and check it; a cut counts as a failed attempt only where it brought under a mebibyte."""
    part = part_of(wanted.path)
    while True:
        before = _size(part)
        try:
            return await _receive(client, wanted, patience, meter)
        except PassingError:
            if _size(part) - before < MEBIBYTE:
                raise
        await asyncio.sleep(patience.pause_s)


async def _receive(client: httpx.AsyncClient, wanted: Wanted, patience: Patience, meter: Meter) -> None:
    part = part_of(wanted.path)
    memo, offset = _left_over(part)
    if memo is None or offset < memo.size:
        headers = {"Range": f"bytes={offset}-", "If-Range": memo.validator} if memo and offset else {}
        try:
            async with client.stream("GET", wanted.url, headers=headers) as response:
                offset, size = _open_body(response, part, memo, offset)
                meter.begin(wanted.path, size, None if size is None else size - offset)
                await _write_body(response, wanted, offset, patience.timeout_s, meter)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise PassingError(f"no connection to {wanted.url} ({_words(error)})", unreachable=True) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise PassingError(f"the server sent too little for {patience.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise PassingError(f"the connection failed ({_words(error)})") from error
        except httpx.InvalidURL as error:
            raise RefusedError(f"{wanted.url} leads to an address that is none ({error})") from error
    try:
        await asyncio.to_thread(wanted.kind.check, part)
    except ValueError as error:
        part.unlink()  # nothing of it can be trusted
        raise PassingError(str(error)) from error


def _open_body(response: httpx.Response, part: Path, memo: _Memo | None, offset: int) -> tuple[int, int | None]:
    """Where in the file the body begins and the file's size, where known; `part` and its memo made ready for it."""
    status, span = response.status_code, response.headers.get("Content-Range")
    if status == 206 and memo and span == f"bytes {offset}-{memo.size - 1}/{memo.size}":
        return offset, memo.size
    if status in _ABSENT_STATUS:
        raise AbsentError(f"the server has no such file (HTTP {status})")
    if status in _PASSING_STATUS or status >= 500:
        raise PassingError(f"the server answers HTTP {status}", asked_pause_s(response.headers))
    if status not in (200, 206, 416):
        raise RefusedError(f"the server answers HTTP {status}")
    part.unlink(missing_ok=True)
    if status != 200:
        raise PassingError(f"the server answers HTTP {status}, but not with the bytes that were asked for")
    return 0, _remember(response, part)


def _remember(response: httpx.Response, part: Path) -> int | None:
    """The size of the file that the server now sends whole, noted beside the empty `part` with what tells its state."""
    make_folder(part.parent)
    memo_of(part).unlink(missing_ok=True)
    part.touch()
    stated, etag = response.headers.get("Content-Length", ""), response.headers.get("ETag", "")
    size = int(stated) if stated.isascii() and stated.isdigit() else None
    # A weak ETag promises no equal bytes: RFC 9110, section 13.1.5.
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if size is not None and validator:
        write_json(memo_of(part), _Memo(validator=validator, size=size).model_dump())
    return size


async def _write_body(response: httpx.Response, wanted: Wanted, offset: int, timeout_s: float, meter: Meter) -> None:
    received = marked = 0
    loop = asyncio.get_running_loop()
    # Unbuffered: what has arrived is in the file, however the process ends.
    with part_of(wanted.path).open("ab", buffering=0) as stream:
        async with asyncio.timeout(timeout_s) as limit:
            async for chunk in response.aiter_raw():
                if offset + received == 0 and not chunk.startswith(wanted.kind.begins[: len(chunk)]):
                    raise PassingError(f"it begins with {chunk[:15]!r}: a web page, perhaps, in the file's place")
                stream.write(chunk)
                received += len(chunk)
                meter.got(wanted.path, len(chunk))
                if offset + received > wanted.kind.bytes_at_most:
                    part_of(wanted.path).unlink()
                    raise RefusedError(f"it is longer than {wanted.kind.bytes_at_most} bytes")
                if received - marked >= LEAST_BYTES:
                    marked = received
                    limit.reschedule(loop.time() + timeout_s)


def _left_over(part: Path) -> tuple[_Memo | None, int]:
    """What an earlier attempt noted and how many bytes it left; `None` and 0 where there is nothing to go on with."""
    try:
        memo = _Memo.model_validate_json(memo_of(part).read_bytes())
        return memo, part.stat().st_size
    except (FileNotFoundError, ValidationError):
        return None, 0


def _settle(wanted: Wanted) -> str:
    part = part_of(wanted.path)
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    digest = sha256_file(part)
    move(part, wanted.path)
    memo_of(part).unlink(missing_ok=True)
    return digest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def part_of(path: Path) -> Path:
    """Where the bytes of a file are collected until it is whole."""
    return path.with_name(f"{path.name}.part")


def memo_of(part: Path) -> Path:
    """Where it is noted of which file on the server `part` is a part."""
    return part.with_name(f"{part.name}.json")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
