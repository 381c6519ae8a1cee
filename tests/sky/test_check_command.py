"""`skygen check` of folders and of real frames, and what it does where nobody reads on."""

import bz2
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SURVEY = ROOT.parent / "shared" / "sdss"
G, R = "frame-g-000094-1-0012.fits.bz2", "frame-r-000094-1-0012.fits.bz2"
SKYGEN = Path(sys.executable).with_name("skygen")


def skygen(*arguments, **options):
    return subprocess.run([SKYGEN, *arguments], capture_output=True, text=True, check=False, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder with two frames of a field below it, one of them by another packing, and a file of another kind."""
    if not SURVEY.is_dir():
        pytest.skip("the folder of real frames is not beside the project")
    (tmp_path / "frames/94").mkdir(parents=True)
    shutil.copy(SURVEY / G, tmp_path / "frames" / G)
    (tmp_path / "frames/94" / R).write_bytes(bz2.decompress((SURVEY / R).read_bytes()))
    (tmp_path / "frames/notes.txt").write_text("seen in good weather")
    return tmp_path / "frames"


def test_a_folder_is_judged_with_what_lies_below_it(folder):
    run = skygen("check", folder)
    lines = run.stdout.splitlines()
    assert (run.returncode, run.stderr) == (0, "")
    assert len(lines) == 3
    assert lines[0].startswith(f"left out {folder / 'notes.txt'}: its name is not a frame's")
    assert {line.split(":")[0] for line in lines[1:]} == {str(folder / G), str(folder / "94" / R)}
    assert all("of field 94-1-12, sky noise" in line and "PSF" in line for line in lines[1:])


def test_what_a_folder_holds_that_is_wrong_is_refused(folder):
    (folder / "94" / R).write_bytes(b"<html>503</html>")
    (folder / "lost").symlink_to("nowhere")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {G}\n")
    missing = folder / G.replace("-g-", "-i-")
    run = skygen("check", folder, missing)
    assert run.returncode == 1
    assert f"refused {folder / 'lost'}: it is a link to nowhere, which is not there" in run.stdout
    assert f"refused {folder / '94' / R}: it is a web page" in run.stdout
    assert f"refused {folder / G}: its SHA-256 is not the one" in run.stdout
    assert f"refused {missing}: there is no such file" in run.stdout
    assert run.stderr == "Error: 4 of 4 refused\n"


def test_a_folder_without_frames_is_refused(tmp_path):
    run = skygen("check", tmp_path)
    assert run.returncode == 1
    assert run.stdout == f"refused {tmp_path}: it holds no frames; give a folder with frames\n"


@pytest.mark.parametrize(
    "command",
    [["check", "."], ["params", ROOT / "params.yaml"], ["--help"], ["check", "--help"], ["--version"]],
    ids=lambda command: " ".join(map(str, command[:2])).replace(str(ROOT), ""),
)
def test_a_reader_that_leaves_ends_a_command_in_silence_as_it_ends_others(tmp_path, command):
    for number in range(20):
        (tmp_path / f"picture-{number}.fits").write_bytes(b"")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = subprocess.run(
            [SKYGEN, *command], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path
        )
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (-13, "")


def test_head_gets_its_line_and_the_shell_the_usual_status(folder):
    script = f"'{SKYGEN}' check '{folder}' '{folder}' '{folder}' | head -1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    line, status = run.stdout.splitlines()
    assert line.startswith("left out ")
    assert status in ("0", "141")  # 0 where all was said before head was gone
    assert run.stderr == ""
