"""Hashes of many files: on as many threads as there are cores, since reading and hashing let go of Python's lock."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from skygen.workers import processes


def hash_all(paths: Sequence[Path], hash_of: Callable[[Path], str], label: str) -> Iterator[tuple[Path, str]]:
    """Each of some files and its hash, in their order, with a progress bar; of what cannot be read, why."""

    def hashed(path: Path) -> str:
        try:
            return hash_of(path)
        except OSError as error:
            return error.strerror or str(error)

    with ThreadPoolExecutor(processes()) as pool, tqdm(total=len(paths), desc=label, unit="file", disable=None) as bar:
        for path, found in zip(paths, pool.map(hashed, paths), strict=True):
            bar.update()
            yield path, found
