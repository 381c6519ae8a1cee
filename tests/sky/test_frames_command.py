"""The stage as a command: what it says, what it leaves, how it ends."""

import bz2
import contextlib
import csv
import io
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from skygen.files import sha256_folder
from skygen.sky.field import parse_frame_name
from skygen.sky.manifest import Manifest

ROOT = Path(__file__).parents[2]
SURVEY = ROOT.parent / "shared" / "sdss"


def test_the_script_ends_with_a_message_where_there_is_nothing_to_take(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("source: simulated", "source: local", 1)
    (tmp_path / "params.yaml").write_text(text)
    script = ROOT / "pipelines" / "frames.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("frames: ")
    assert "data/local is not a folder; put" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    if not SURVEY.is_dir():
        pytest.skip("the folder of real frames is not beside the project")
    (tmp_path / "survey").mkdir()
    for path in sorted(SURVEY.glob("frame-r-*.fits.bz2"))[:3]:
        (tmp_path / "survey" / path.name).symlink_to(path)
    text = (ROOT / "params.yaml").read_text().replace("source: simulated", "source: local", 1)
    text = text.replace("folder: data/local", "folder: survey", 1).replace("bands: [g, r, i]", "bands: [r]")
    (tmp_path / "params.yaml").write_text(text)
    command = [sys.executable, ROOT / "pipelines" / "frames.py"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as stage:
        while stage.poll() is None and not list(tmp_path.glob("data/.frames.*.part/records/94-1-12.json")):
            time.sleep(0.01)
        stage.kill()
    killed_ns = time.time_ns()
    assert not (tmp_path / "data" / "frames").exists()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "3 frames of 3 fields; 0 files left out\n"
    frames = tmp_path / "data" / "frames"
    written = {path.name: path.stat().st_mtime_ns > killed_ns for path in frames.glob("frame-*")}
    assert (len(written), written["frame-r-000094-1-0012.fits.bz2"]) == (3, False)
    assert any(written.values())
    assert [path.name for path in frames.parent.iterdir()] == ["frames"]


def swap_blocks(raw, rng):
    blocks = [raw[start : start + 4096] for start in range(0, len(raw), 4096)]
    first, second = rng.choice(len(blocks), 2, replace=False)
    blocks[first], blocks[second] = blocks[second], blocks[first]
    return b"".join(blocks)


def zero_block(raw, rng):
    start = int(rng.integers(len(raw)))
    length = min(int(rng.integers(1, 10_000)), len(raw) - start)
    return raw[:start] + bytes(length) + raw[start + length :]


def flip(raw, rng):
    spoilt = bytearray(raw)
    for place in rng.integers(len(raw), size=rng.integers(1, 5)):
        spoilt[place] ^= 1 << rng.integers(8)
    return bytes(spoilt)


def flip_the_last(raw, rng):
    """Where bz2 keeps its last checksum and fills up the last byte: the one place where a flip may be harmless."""
    return raw[:-1] + bytes([raw[-1] ^ 1 << rng.integers(8)])


DAMAGES = {
    "truncated": lambda raw, rng: raw[: int(rng.integers(1, len(raw)))],
    "headless": lambda raw, rng: raw[int(rng.integers(1, len(raw))) :],
    "emptied": lambda raw, rng: b"",
    "flipped": flip,
    "flipped at the end": flip_the_last,
    "blocks swapped": swap_blocks,
    "blocks zeroed": zero_block,
    "followed": lambda raw, rng: raw + rng.bytes(int(rng.integers(1, 5000))),
    "a page": lambda raw, rng: b"<!DOCTYPE html><title>503 Service Unavailable</title>",
}


def damage(folder, good, count):
    """`count` damaged copies of `good` frames, each in a folder of its own: what each was made from, by its path."""
    rng = np.random.default_rng(3)
    made = {}
    for number in range(count):
        kind = [*DAMAGES, "renamed"][number % (len(DAMAGES) + 1)]
        source = good[int(rng.integers(len(good)))]
        name = source.name
        if kind == "renamed":
            name = good[(good.index(source) + int(rng.integers(1, len(good)))) % len(good)].name
            content = source.read_bytes()
        else:
            content = DAMAGES[kind](source.read_bytes(), rng)
        path = folder / f"{number:03d} {kind}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        made[path] = source
    return made


def is_harmless(path, source):
    """Whether a damaged file is, under its own name, what it was."""
    try:
        return path.name == source.name and bz2.decompress(path.read_bytes()) == bz2.decompress(source.read_bytes())
    except (OSError, ValueError, EOFError):
        return False


def run_stage(project, min_fields, processes):
    yaml = YAML()
    text = yaml.load(ROOT / "params.yaml")
    text["frames"].update({"source": "local", "folder": "survey", "min_fields": min_fields})
    bands = sorted({parse_frame_name(path.name)[0] for path in (project / "survey").glob("frame-*")})
    for tiles in ("r64", "gri128", "sky"):
        text["tiles"][tiles]["bands"] = bands
    yaml.dump(text, project / "params.yaml")
    return subprocess.run(
        [sys.executable, ROOT / "pipelines" / "frames.py"],
        cwd=project,
        env={**os.environ, "SKYGEN_PROCESSES": str(processes)},
        capture_output=True,
        text=True,
        check=False,
    )


def check_damage(project, good, count, processes):
    """The stage on a folder of `good` frames and `count` damaged copies, which it comes to before the good ones."""
    survey, out = project / "survey", project / "data" / "frames"
    made = damage(survey / "damaged", good, count)
    for path in good:
        (survey / path.name).symlink_to(path)
    fields = {parse_frame_name(path.name)[1] for path in good}
    out.mkdir(parents=True)
    (out / "earlier").write_text("kept")
    before = sha256_folder(out)

    stopped = run_stage(project, len(fields) + 1, processes)
    assert stopped.returncode == 1
    assert f"frames: {len(fields)} fields are usable" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert sha256_folder(out) == before

    done = run_stage(project, len(fields), processes)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    manifest = Manifest.read(out)
    with (out / "quarantine.csv").open(newline="") as stream:
        table = {survey / row["file"]: row for row in csv.DictReader(stream)}
    harmless = {path for path, source in made.items() if path not in table and is_harmless(path, source)}
    # Nothing damaged is used but what is harmless; nothing good is left out but for a copy of it that is used.
    assert {path for path in made if path not in table} == harmless
    assert len(manifest.frames) == len(good)
    refused_good = {path.name for path in table if path not in made}
    assert refused_good <= {path.name for path in harmless}
    assert all(row["cause"] and row["remedy"] and f"left out {row['file']}: " in done.stderr for row in table.values())
    assert {row.field_id for row in manifest.frames} == fields
    return made, table


@pytest.fixture
def good():
    if not SURVEY.is_dir():
        pytest.skip("the folder of real frames is not beside the project")
    return sorted(SURVEY.glob("frame-*.fits.bz2"))


def test_twenty_damaged_copies_of_real_frames_are_refused_and_the_good_ones_used(tmp_path, good):
    in_r = [path for path in good if path.name.startswith("frame-r-")][:3]
    made, table = check_damage(tmp_path, in_r, 20, processes=1)
    assert len(set(made) & set(table)) >= 18  # a flip in the last byte may do no harm


@pytest.mark.slow
def test_two_hundred_damaged_copies_of_real_frames_are_refused_and_the_good_ones_used(tmp_path, good):
    made, table = check_damage(tmp_path, good, 200, processes=2)
    assert len(set(made) & set(table)) >= 180


def check(project, folder, source="local"):
    """How `frames.py --check` ends in a project with `frames.folder` as given, and what it says; in this process."""
    text = (ROOT / "params.yaml").read_text().replace("source: simulated", f"source: {source}", 1)
    (project / "params.yaml").write_text(text.replace("folder: data/local", f"folder: {folder}", 1))
    script = str(ROOT / "pipelines" / "frames.py")
    with (
        contextlib.chdir(project),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as said,
    ):
        patch.setattr(sys, "argv", [script, "--check"])
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as ended:
            return 1, f"{ended.code}\n"
    assert out.getvalue() == ""
    return 0, said.getvalue()


@pytest.fixture
def local(tmp_path):
    """A project's folder of frames, with a frame and a link to another."""
    folder = tmp_path / "data" / "local"
    (folder / "94").mkdir(parents=True)
    (folder / "94/frame-r-000094-1-0012.fits.bz2").touch()
    (folder / "linked").symlink_to("94/frame-r-000094-1-0012.fits.bz2")
    return folder


@pytest.mark.parametrize("source", ["local", "simulated"])
def test_a_folder_that_dvc_can_take_is_passed_in_silence(tmp_path, local, source):
    assert check(tmp_path, "data/local", source) == (0, "")


def test_what_dvc_would_wait_for_or_end_on_is_said_before_it_starts(tmp_path, local):
    os.mkfifo(local / "94/frame-g-000094-1-0012.fits")
    (local / "to-pipe").symlink_to("94/frame-g-000094-1-0012.fits")
    (local / "lost").symlink_to("nowhere")
    (local / "round").symlink_to("round")
    Path(os.fsdecode(os.fsencode(local) + b"/\xe9t\xe9")).mkdir()
    Path(os.fsdecode(os.fsencode(local) + b"/\xe9t\xe9/frame.fits")).touch()
    (local / "94/.dvcignore").touch()
    status, said = check(tmp_path, "data/local", "simulated")
    assert status == 1
    first, *lines = said.splitlines()
    assert first == "frames: DVC cannot take what lies below data/local, which is frames.folder:"
    assert sorted(lines) == [
        "  94/.dvcignore: DVC allows none in a folder that it hashes; remove it",
        "  94/frame-g-000094-1-0012.fits: it is no regular file, but a pipe; put the file itself there",
        r"  \udce9t\udce9/frame.fits: its name, or its folder's, is not UTF-8; rename it",
        "  lost: it is a link to nowhere, which is not there; mend the link, or remove it",
        "  round: it is a link that leads back to itself; mend the link, or remove it",
        "  to-pipe: it is no regular file, but a pipe; put the file itself there",
    ]


def test_many_files_that_dvc_cannot_take_are_counted(tmp_path, local):
    for number in range(25):
        (local / f"{number:02}").symlink_to("nowhere")
    status, said = check(tmp_path, "data/local")
    assert status == 1
    assert len(said.splitlines()) == 22
    assert said.endswith("\n  and 5 more\n")


def test_links_to_folders_behind_which_dvc_sees_no_change_are_said(tmp_path, local):
    (tmp_path / "archive").mkdir()
    (local / "archive").symlink_to(tmp_path / "archive")
    said = (
        "frames: DVC sees no change behind links to folders (data/local/archive): after one, say "
        ".venv/bin/dvc repro --force frames, and then make repro\n"
    )
    assert check(tmp_path, "data/local") == (0, said)
    assert check(tmp_path, "data/local", "simulated") == (0, "")


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("data/nowhere", "there is no such folder, which DVC asks for whatever the source; make it, or write where"),
        ("params.yaml", "it is not a folder, which DVC asks for"),
        ("data/frames", "the pipeline writes data/frames, so that it can neither be in it nor hold it"),
        ("models", "the pipeline writes models, so that"),
        (".", "the pipeline writes data/features, so that"),
        ("~/frames", "DVC does not know ~; write /"),
    ],
)
def test_a_folder_that_cannot_be_a_dependency_is_named_with_the_remedy(tmp_path, local, folder, words):
    for name in ("data/frames", "models"):
        (tmp_path / name).mkdir()
    status, said = check(tmp_path, folder)
    assert status == 1
    assert said.startswith(f"frames: params.yaml: frames.folder = {folder!r}: ")
    assert words in said
    assert said.count("\n") == 1


def test_what_the_check_takes_for_outputs_is_what_the_pipeline_writes():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    outs = [out if isinstance(out, str) else next(iter(out)) for stage in stages.values() for out in stage["outs"]]
    outputs = runpy.run_path(ROOT / "pipelines" / "frames.py", run_name="frames")["OUTPUTS"]
    assert [out for out in outs if not out.startswith(outputs)] == []
    assert [output for output in outputs if not any(out.startswith(output) for out in outs)] == []


def test_a_folder_with_spaces_in_its_name_is_taken_by_dvc_and_the_stage(tmp_path):
    (tmp_path / "my frames").mkdir()
    (tmp_path / "my frames/notes.txt").touch()
    (folder,) = [dep for dep in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["frames"]["deps"] if "{" in dep]
    (tmp_path / "dvc.yaml").write_text(f'stages: {{see: {{cmd: "true", deps: ["{folder}"]}}}}')
    assert check(tmp_path, "my frames") == (0, "")
    dvc = Path(sys.executable).parent / "dvc"
    subprocess.run([dvc, "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([dvc, "repro", "--quiet"], cwd=tmp_path, check=True)
    assert "path: my frames" in (tmp_path / "dvc.lock").read_text()
    script = ROOT / "pipelines" / "frames.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "my frames holds no frames" in done.stderr
