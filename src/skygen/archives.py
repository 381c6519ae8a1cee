"""Tar archives, of which nothing is written outside the folder that it is meant for."""

import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def extract(archive: tarfile.TarFile, folder: Path, members: Sequence[tarfile.TarInfo] | None = None) -> None:
    """Extract `members`, or all, into `folder`: plain files and folders below it.

    Raises `tarfile.TarError` for any other, of which Python has a filter from 3.11.4 on.
    """
    chosen = archive.getmembers() if members is None else list(members)
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, chosen, filter="data")
        return
    for member in chosen:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{member.name} is no plain file or folder below the archive's own")
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    archive.extractall(folder, chosen)  # noqa: S202  # looked at above
