"""The survey's files, downloaded once: frames by field and band, and the list of all fields.

`downloads/` holds them below `frames/RERUN/RUN/CAMCOL/` as the survey's own server does, and their hashes in
`SHA256SUMS`, which `sha256sum --check` reads. Addresses: https://www.sdss4.org/dr17/data_access/bulk/ (Imaging Data).
"""

import asyncio
import bz2
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tqdm import tqdm

from skygen.files import make_folder
from skygen.locks import alone
from skygen.params import SurveyParams
from skygen.sky.archive.sums import Sums
from skygen.sky.archive.transfer import (
    MEBIBYTE,
    PAUSE_S,
    AbsentError,
    Kind,
    PassingError,
    Patience,
    RefusedError,
    Wanted,
    fetch,
)
from skygen.sky.field import FieldId, frame_name
from skygen.web import ProxyError, proxy_for

FIELD_LIST = "window_flist.fits"
LOCK = ".skygen-lock"  # held in the folder of downloads by the run that fills it; DVC ignores such names
RERUN = "301"  # the processing of the imaging data that every release since the eighth publishes
FRAME_BYTES = 3_400_000  # of a frame as the survey compresses it: what is left is guessed by it before the first answer
STRIKES = 8  # files in a row that fail, none having arrived between: the fault is the server's, not theirs
_FITS_BLOCK_BYTES = 2880


class SurveyError(ValueError):
    """The survey's files cannot be had, or do not say what they must; the message says why and what to do."""


class UnreachableError(SurveyError):
    """No connection to the server came about."""


@dataclass(frozen=True)
class Missing:
    """A frame that the server does not have, or that it did not send whole and sound in any attempt."""

    field_id: FieldId
    name: str
    cause: str
    remedy: str


def download_frames(
    survey: SurveyParams, fields: Sequence[FieldId], bands: Sequence[str], downloads: Path, pause_s: float = PAUSE_S
) -> tuple[list[Path], list[Missing]]:
    """The frames of `fields` in `bands` below `downloads`, and those that cannot be had, both in the order asked for.

    What is there whole is not asked for again; what is there in part is gone on with. `pause_s` is the first pause
    after a failure. Raises `UnreachableError` where there is no connection and `SurveyError` where the address is none,
    the disk is full or one file after the other fails: what has arrived is kept, and the same call goes on from there.
    """
    identities = {
        _frame_path(downloads, band, field_id): (field_id, band) for field_id in fields for band in dict.fromkeys(bands)
    }
    wanted = [
        Wanted(f"{survey.frames_url.rstrip('/')}/{path.relative_to(downloads / 'frames').as_posix()}", path, FRAME)
        for path in identities
    ]
    _check_address("frames_url", survey.frames_url)
    failures = _download(wanted, survey, downloads, pause_s)
    missing = [Missing(identities[path][0], path.name, *failures[path]) for path in identities if path in failures]
    return [path for path in identities if path not in failures], missing


def download_field_list(survey: SurveyParams, downloads: Path, pause_s: float = PAUSE_S) -> Path:
    """The survey's list of all its fields in `downloads`; raises `UnreachableError` or `SurveyError` without it.

    It is half a gigabyte. One that is there stays, whatever the address: remove it to have it anew.
    """
    _check_address("field_list_url", survey.field_list_url)
    path = downloads / FIELD_LIST
    failures = _download([Wanted(survey.field_list_url, path, TABLE)], survey, downloads, pause_s)
    if failures:
        cause, remedy = failures[path]
        raise SurveyError(f"{survey.field_list_url}: {cause}; {remedy}")
    return path


def check_frame(path: Path) -> None:
    """Raise `ValueError` unless the file is FITS in bz2 that decodes to the end, and to no more than 64 MiB."""
    try:
        with bz2.open(path) as stream:
            content = stream.read(64 * MEBIBYTE + 1)
    except (OSError, EOFError) as error:
        raise ValueError(f"bz2 cannot decode it ({error})") from None
    if len(content) > 64 * MEBIBYTE:
        raise ValueError("it decodes to more than 64 MiB, five times a frame")
    if not content.startswith(b"SIMPLE  =") or len(content) % _FITS_BLOCK_BYTES:
        raise ValueError(f"what it decodes to, {len(content)} bytes that begin with {content[:9]!r}, is not FITS")


def check_fits(path: Path) -> None:
    """Raise `ValueError` unless the file begins as FITS does and is a whole number of its blocks long."""
    with path.open("rb") as stream:
        first = stream.read(9)
    size = path.stat().st_size
    if first != b"SIMPLE  =" or size % _FITS_BLOCK_BYTES:
        raise ValueError(f"its {size} bytes, which begin with {first!r}, are not whole FITS")


FRAME = Kind(b"BZh", 64 * MEBIBYTE, check_frame)
TABLE = Kind(b"SIMPLE", 4096 * MEBIBYTE, check_fits)


class _Bar:
    """One progress bar over all files: bytes received of those to come; unknown sizes are guessed from the known."""

    def __init__(self, bar: "tqdm[None]", files: int) -> None:
        self.bar = bar
        self.files = files
        self.begun: set[Path] = set()
        self.bytes_begun = 0
        self.left: dict[Path, int] = {}  # of the files under way
        self.ended = 0

    def begin(self, path: Path, size: int | None, left: int | None) -> None:
        """See `Meter`."""
        guess = FRAME_BYTES
        if path not in self.begun:
            self.begun.add(path)
            self.bytes_begun += guess if size is None else size
        self.left[path] = guess if left is None else left
        mean = self.bytes_begun / len(self.begun)
        waiting = self.files - self.ended - len(self.left)
        self.bar.total = self.bar.n + sum(self.left.values()) + round(waiting * mean)

    def got(self, path: Path, count: int) -> None:
        """See `Meter`."""
        self.left[path] = max(0, self.left[path] - count)
        self.bar.update(count)

    def end(self, path: Path) -> None:
        """The file is finished or given up."""
        self.left.pop(path, None)
        self.ended += 1
        self.bar.set_postfix_str(f"{self.ended} of {self.files} files", refresh=False)


Failures = dict[Path, tuple[str, str]]  # path → cause, remedy
T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives, run to its end or to Ctrl-C, which is heard at once; a second one ends the process.

    By itself, asyncio hears it when its loop next wakes: where the signal comes just before the loop waits, or to
    another thread, that is after the read's time-out. A handler of the loop's own wakes it.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are none of its business
        return asyncio.run(work)
    before = signal.getsignal(signal.SIGINT)

    async def heard() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if task:
                task.cancel()

        loop.add_signal_handler(signal.SIGINT, stop)
        return await work

    try:
        return asyncio.run(heard())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


def _download(wanted: Sequence[Wanted], survey: SurveyParams, downloads: Path, pause_s: float) -> Failures:
    """Fetch what is not there yet; the cause and the remedy of each file that cannot be had."""
    try:
        make_folder(downloads)
        with alone(downloads / LOCK, str(downloads), wait=True):  # so that no two runs write the same files
            sums = Sums(downloads)
            try:
                lacking = _lacking(wanted, sums, survey.connections)
                return _run(_fetch_all(lacking, survey, sums, pause_s)) if lacking else {}
            finally:
                sums.write()
    except KeyboardInterrupt:
        sys.stderr.write("\ndownload stopped: what has arrived is kept; run again to go on\n")
        raise
    except BlockingIOError as error:
        raise SurveyError(str(error)) from error
    except OSError as error:
        raise SurveyError(
            f"{downloads}: {error.strerror or error}; see to the disk and run again: what has arrived is kept"
        ) from error


def _lacking(wanted: Sequence[Wanted], sums: Sums, threads: int) -> list[Wanted]:
    """Those that are not there, or not as they were recorded; one that a killed run finished unrecorded is checked."""

    def digest(file: Wanted) -> str | None:
        return sums.digest_of(file.path, file.kind.check)

    with ThreadPoolExecutor(threads) as pool:
        found = tqdm(pool.map(digest, wanted), total=len(wanted), desc="checking downloads", unit="file", delay=1)
        digests = dict(zip(wanted, found, strict=True))
    for file, known in digests.items():
        if known is not None:
            sums.add(file.path, known)
    return [file for file, known in digests.items() if known is None]


async def _fetch_all(wanted: Sequence[Wanted], survey: SurveyParams, sums: Sums, pause_s: float) -> Failures:
    patience = Patience(survey.attempts, survey.timeout_s, pause_s)
    failures: Failures = {}
    in_a_row = 0
    waiting = iter(wanted)
    # What a server may do to a file on the way (compress it) would not be what it has, nor go on from a byte.
    headers = {"User-Agent": "skygen", "Accept-Encoding": "identity"}
    timeout, limits = httpx.Timeout(survey.timeout_s), httpx.Limits(max_connections=survey.connections)
    way = httpx.AsyncHTTPTransport(limits=limits, proxy=_proxy(wanted[0].url))  # all files have one server

    async def work() -> None:
        nonlocal in_a_row
        for file in waiting:
            try:
                sums.add(file.path, await fetch(client, file, patience, meter))
                in_a_row = 0
            except AbsentError as error:
                failures[file.path] = str(error), "leave the field out, or see whether frames.sdss names what exists"
            except (PassingError, RefusedError) as error:
                in_a_row += 1
                failures[file.path] = _give_up(file, error, in_a_row)
            meter.end(file.path)

    with tqdm(desc="downloading", unit="B", unit_scale=True, unit_divisor=1024) as bar:
        meter = _Bar(bar, len(wanted))
        try:
            async with (
                httpx.AsyncClient(headers=headers, timeout=timeout, transport=way, follow_redirects=True) as client,
                asyncio.TaskGroup() as group,
            ):
                for _ in range(min(survey.connections, len(wanted))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return failures


def _give_up(file: Wanted, error: PassingError | RefusedError, in_a_row: int) -> tuple[str, str]:
    """Cause and remedy of a file given up; raises where not the file but the network or the server is at fault."""
    kept = "what has arrived is kept: run again to go on"
    if isinstance(error, PassingError) and error.unreachable:
        proxy = proxy_for(file.url)
        through = f" through {proxy}" if proxy else ""
        raise UnreachableError(f"{error}{through}; see to the network or the address in frames.sdss; {kept}")
    if in_a_row >= STRIKES:
        cause = f"{STRIKES} files in a row could not be had, the last because {error}"
        raise SurveyError(f"{file.url}: {cause}; try later, or name a mirror in frames.sdss; {kept}")
    return f"{error}, in every attempt", "run again later, or name a mirror in frames.sdss"


def _proxy(url: str) -> str | None:
    """The environment's proxy for `url`; raises `SurveyError` where it cannot be used."""
    try:
        proxy = proxy_for(url)
    except ProxyError as error:
        raise SurveyError(str(error)) from error
    return proxy.url if proxy else None


def _frame_path(downloads: Path, band: str, field_id: FieldId) -> Path:
    return downloads / "frames" / RERUN / str(field_id.run) / str(field_id.camcol) / frame_name(band, field_id)


def _check_address(key: str, address: str) -> None:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise SurveyError(f"frames.sdss.{key} = {address!r}: {error}; give an https:// address") from error
    if url.scheme not in ("https", "http") or not url.host:
        raise SurveyError(f"frames.sdss.{key} = {address!r}: not an https:// or http:// address")
