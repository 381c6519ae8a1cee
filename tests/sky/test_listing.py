"""Every file below the folder of frames is used or has a line: behind links, in what cannot be read, in odd places."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skygen.sky.archive.sums import read_sums
from skygen.sky.listing import list_folder

G, R = "frame-g-000094-1-0012.fits.bz2", "frame-r-000094-1-0012.fits.bz2"
OTHER = "frame-r-001035-6-0017.fits.bz2"


def listed(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the frames that are found in g and r, and the cause of every line beside them."""
    known, refused = list_folder(folder, ["g", "r"])
    return sorted(found.shown for of_field in known.values() for found in of_field), {r.file: r.cause for r in refused}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with a frame, to which each test adds what is odd."""
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / G).write_bytes(b"g")
    return folder


def test_folders_and_files_behind_links_are_found(frames: Path, tmp_path: Path) -> None:
    (tmp_path / "archive/deep").mkdir(parents=True)
    (tmp_path / "archive/deep" / OTHER).write_bytes(b"r")
    (tmp_path / "far").write_bytes(b"r")
    (frames / "linked").symlink_to("../archive")
    (frames / R).symlink_to("../far")
    assert listed(frames) == ([G, R, f"linked/deep/{OTHER}"], {})


def test_a_link_that_goes_round_ends_and_is_said(frames: Path) -> None:
    (frames / "round").symlink_to(".")
    (frames / "to-itself").symlink_to("to-itself")
    found, causes = listed(frames)
    assert found == [G]
    assert causes["round"] == "it is a link to a folder that holds it, and not followed"
    assert causes["to-itself"] == "it is a link that leads back to itself"


def test_a_folder_that_is_reached_twice_is_listed_once(frames: Path) -> None:
    (frames / "a").mkdir()
    (frames / "a" / OTHER).write_bytes(b"r")
    (frames / "b").symlink_to("a")
    found, causes = listed(frames)
    assert found == sorted([G, f"a/{OTHER}"])
    assert causes == {"b": "it is the same folder as a, where its files are listed"}


def test_what_is_no_file_has_a_line_and_does_not_hang(frames: Path) -> None:
    os.mkfifo(frames / R)
    (frames / OTHER).mkdir()
    (frames / "frame-g-001035-6-0017.fits").symlink_to("nowhere")
    found, causes = listed(frames)
    assert found == [G]
    assert causes[R].startswith("it is no regular file, but ")
    assert causes[OTHER] == "it is a folder, not a frame; what is in it is looked at"
    assert causes["frame-g-001035-6-0017.fits"] == "it is a link to nowhere, which is not there"


def test_what_cannot_be_read_has_a_line(frames: Path) -> None:
    """Listed by a user who may not look into a folder: root may, so the listing gives its rights up first."""
    (frames / "closed").mkdir(mode=0o700)
    for folder in (frames, *frames.parents):
        if folder != Path("/") and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    (frames / "closed").chmod(0o000)
    code = (
        "import os; from pathlib import Path; from skygen.sky.listing import list_folder\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"print({{r.file: r.cause for r in list_folder(Path({str(frames)!r}), ['g'])[1]}})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    (frames / "closed").chmod(0o700)
    assert run.stdout == "{'closed': 'the folder cannot be read (Permission denied)'}\n", run.stderr


def test_other_files_have_a_line_each_and_beyond_a_hundred_a_count(frames: Path) -> None:
    for number in range(103):
        (frames / f"note-{number:03}").touch()
    found, causes = listed(frames)
    assert found == [G]
    assert len(causes) == 101
    assert causes["."] == "3 further files have no frame's name, the last note-102"


def test_a_name_that_is_not_utf8_has_a_line(frames: Path) -> None:
    Path(os.fsdecode(os.fsencode(frames) + b"/\xff.fits")).touch()
    found, causes = listed(frames)
    assert found == [G]
    assert list(causes) == [r"\udcff.fits"]


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  {name}",
        "{digest} *{name}",
        "{DIGEST}  {name}",
        "SHA256 ({name}) = {digest}",
        "# a comment\n\n{digest}  {name}",
        "{digest}  {name}\r",
    ],
)
def test_sums_are_read_as_sha256sum_reads_them(tmp_path: Path, line: str) -> None:
    (tmp_path / G).write_bytes(b"g")
    digest = hashlib.sha256(b"g").hexdigest()
    text = line.format(digest=digest, DIGEST=digest.upper(), name=G) + "\n"
    (tmp_path / "SHA256SUMS").write_bytes(text.encode())
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    pairs, bad = read_sums(tmp_path / "SHA256SUMS")
    if checked.returncode == 0:
        assert (pairs, bad) == ([(G, digest)], [])
    else:
        assert bad or pairs == [(f"{G}\r", digest)], checked.stderr
