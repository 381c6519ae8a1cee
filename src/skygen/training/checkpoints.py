"""A file kept in two generations, each sealed with its hash: what damages the newest leaves the one before.

Beside PATH.pt lies PATH.previous.pt. Each ends with the SHA-256 of what comes before it. One process writes; many may
read.
"""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from skygen.files import move, write_atomically

_SEAL = hashlib.sha256().digest_size  # bytes
_logger = logging.getLogger(__name__)


def write_checkpoint(path: Path, content: bytes | memoryview) -> None:
    """Keep `content` as the newest generation, and what was the newest as the one before.

    Raises an `OSError` that names the path, after which both earlier generations are as they were: nothing moves
    before all of the new one is on disk.
    """
    following = _following(path)
    try:
        with write_atomically(following) as temporary, temporary.open("wb") as stream:
            stream.write(content)
            stream.write(hashlib.sha256(content).digest())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    if path.exists():
        move(path, _previous(path))
    move(following, path)


def read_newest(path: Path) -> bytes | None:
    """The content of the newest generation that is whole; None where there is none."""
    return next((content for _, content in _generations(path) if content is not None), None)


def mend(path: Path) -> None:
    """Remove what a kill or damage left: unfinished files, and each damaged generation, with a warning that names it.

    So the next write does not push a whole generation out to keep a damaged one.
    """
    for unfinished in (_following(path), *path.parent.glob(f".*{_following(path).name}")):
        unfinished.unlink(missing_ok=True)
    for generation, content in _generations(path):
        if content is None:
            _logger.warning("%s is damaged: its hash is another. It is removed; the one before goes on", generation)
            generation.unlink()


def remove(path: Path) -> None:
    """Remove every generation."""
    mend(path)
    for generation in (path, _previous(path)):
        generation.unlink(missing_ok=True)


def _generations(path: Path) -> Iterator[tuple[Path, bytes | None]]:
    """The generations that exist, newest first, and what each holds; None where its seal is broken."""
    for generation in (path, _previous(path)):
        if generation.is_file():
            sealed = generation.read_bytes()
            whole = hashlib.sha256(memoryview(sealed)[:-_SEAL]).digest() == sealed[-_SEAL:]
            yield generation, sealed[:-_SEAL] if whole else None


def _previous(path: Path) -> Path:
    return path.with_suffix(f".previous{path.suffix}")


def _following(path: Path) -> Path:
    return path.with_suffix(f".next{path.suffix}")
