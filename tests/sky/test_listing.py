"""Every file below the folder of frames is used or has a line: behind links, in what cannot be read, in odd places."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skygen.sky.archive.sums import SUMS, read_sums
from skygen.sky.frame import FrameError
from skygen.sky.listing import list_folder, read_candidate

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
        assert (pairs, bad) == ([(G, digest)], {})
    else:
        assert bad or pairs == [(f"{G}\r", digest)], checked.stderr


def unchecked(folder: Path) -> dict[str, str]:
    """Why frames in g and r are not used: only of those that a damaged `SHA256SUMS` costs."""
    found = {}
    for candidate in (found for of_field in list_folder(folder, ["g", "r"])[0].values() for found in of_field):
        if candidate.unchecked:
            with pytest.raises(FrameError) as caught:
                read_candidate(candidate)
            found[candidate.shown] = f"{caught.value.cause}; {caught.value.remedy}"
    return found


@pytest.fixture
def folders(frames: Path) -> Path:
    """The frame of the folder, and two below it in folders of their own."""
    for name in ("bad", "good"):
        (frames / name).mkdir()
        (frames / name / OTHER).write_bytes(b"r")
    return frames


def test_sums_that_say_nothing_cost_the_frames_of_their_folder_alone(folders: Path) -> None:
    (folders / "bad/deep").mkdir()
    (folders / "bad/deep" / R).write_bytes(b"r")
    (folders / "bad" / SUMS).write_text("\nwhat is this\n")
    why = f"it cannot be checked by bad/{SUMS}: line 2: not a SHA-256 and a file's name; mend the {SUMS}, or remove it"
    assert unchecked(folders) == {f"bad/{OTHER}": why, f"bad/deep/{R}": why}
    assert listed(folders)[1] == {f"bad/{SUMS}": "line 2: not a SHA-256 and a file's name"}


def test_sums_that_cannot_be_read_cost_the_frames_of_their_folder_alone(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "bad" / SUMS).touch()
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr("skygen.sky.listing.read_sums", lambda _path: (_ for _ in ()).throw(denied))
    said = unchecked(folders)
    assert list(said) == [f"bad/{OTHER}"]
    assert said[f"bad/{OTHER}"].startswith(f"it cannot be checked by bad/{SUMS}: it cannot be read (Permission denied)")
    assert listed(folders)[1] == {f"bad/{SUMS}": "it cannot be read (Permission denied)"}


def test_sums_that_are_no_file_cost_the_frames_of_their_folder_alone(folders: Path) -> None:
    (folders / "bad" / SUMS).symlink_to("nowhere")
    os.mkfifo(folders / "good" / SUMS)
    said = unchecked(folders)
    assert list(said) == [f"bad/{OTHER}", f"good/{OTHER}"]
    assert f"bad/{SUMS}: it is a link to nowhere, which is not there" in said[f"bad/{OTHER}"]
    assert f"good/{SUMS}: it is no regular file" in said[f"good/{OTHER}"]


def test_a_frame_that_sums_above_or_beside_it_list_is_checked_by_these(folders: Path) -> None:
    digest = hashlib.sha256(b"r").hexdigest()
    (folders / SUMS).write_text("torn")
    (folders / "good" / SUMS).write_text(f"{digest}  {OTHER}\n")
    assert list(unchecked(folders)) == [G, f"bad/{OTHER}"]


def test_a_damaged_line_costs_the_frame_that_it_names(folders: Path) -> None:
    digest = hashlib.sha256(b"g").hexdigest()
    (folders / SUMS).write_text(f"{digest}  {G}\n{digest[:50]}  ./bad/{OTHER}\n")
    why = f"it is named in {SUMS}, line 2, which is not a SHA-256 and a file's name; mend the {SUMS}, or remove it"
    assert unchecked(folders) == {f"bad/{OTHER}": why}


def test_sums_that_list_nothing_have_a_line(folders: Path) -> None:
    (folders / SUMS).touch()
    assert unchecked(folders) == {}
    assert listed(folders)[1] == {SUMS: "it lists nothing, and nothing is checked"}


def test_a_frame_that_is_listed_and_not_there_has_a_line(folders: Path) -> None:
    names = [G, R, f"good/{OTHER}", "gone/frame-g-001035-6-0017.fits", R.replace("-r-", "-z-"), "notes.txt"]
    (folders / SUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in names))
    cause = f"it is listed in {SUMS}, not there"
    assert listed(folders)[1] == {R: cause, "gone/frame-g-001035-6-0017.fits": cause}


def test_a_listed_frame_that_is_no_file_keeps_its_own_line(folders: Path) -> None:
    (folders / R).symlink_to("nowhere")
    (folders / SUMS).write_text(f"{'0' * 64}  {R}\n")
    assert listed(folders)[1] == {R: "it is a link to nowhere, which is not there"}
