"""Archives: what is taken from them, by Pythons with a filter of their own and without."""

import io
import tarfile
from pathlib import Path

import pytest

from skygen.archives import extract


@pytest.fixture(params=["with Python's filter", "without it"], autouse=True)
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without it":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def archive_of(*members: tarfile.TarInfo) -> tarfile.TarFile:
    """An archive of files with one byte each, or of whatever else `members` are."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for member in members:
            member.size = 1 if member.isfile() else 0
            archive.addfile(member, io.BytesIO(b"x"))
    return tarfile.open(fileobj=io.BytesIO(written.getvalue()))


def test_files_and_folders_come_out(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./a")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    with archive_of(folder, tarfile.TarInfo("./a/b"), tarfile.TarInfo("c")) as archive:
        extract(archive, tmp_path, archive.getmembers()[:2])

    assert (tmp_path / "a/b").read_bytes() == b"x"
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("../x", tarfile.REGTYPE), ("x", tarfile.FIFOTYPE), ("a/../../x", tarfile.REGTYPE)]
)
def test_what_leads_outside_or_is_no_file_is_refused(name: str, kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.type = kind
    (tmp_path / "inside").mkdir()
    with archive_of(member) as archive, pytest.raises(tarfile.TarError):
        extract(archive, tmp_path / "inside")

    assert [path.name for path in tmp_path.rglob("*")] == ["inside"]


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "../../x"
    with archive_of(link) as archive, pytest.raises(tarfile.TarError):
        extract(archive, tmp_path)
