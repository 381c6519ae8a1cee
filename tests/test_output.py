"""Where `skygen generate --output` writes to: files whole, links through, pipes and devices as they are."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, row, walk
from skygen.formats.encode import encode
from skygen.output import A_STEP, MOST_WHOLE_BYTES
from tests.harness.commands import called

N = 2 * A_STEP + 3  # three parts
COMMAND = [sys.executable, "-c", "from skygen.cli import main; main()"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, recipe="scene")
    return folder


@pytest.fixture(scope="module")
def expected(bundle: Path) -> dict[str, bytes]:
    """The bytes of N tiles of seed 7, encoded as one."""
    loaded, tiles = Bundle.load(bundle), row(7, N)
    return {name: encode(loaded.draw_all(tiles), name, loaded.origin(tiles)) for name in ("npy", "fits", "png")}


def generate(
    bundle: Path, output: str | Path, *more: str, n: int = N, cwd: Path | str = ".", umask: int | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """What the command comes to; in this process, since each of its own would take seconds to start."""
    arguments = ["generate", "--bundle", str(bundle), "--seed", "7", "--n", str(n), "--output", str(output), *more]
    return called(arguments, cwd, umask)


@pytest.mark.parametrize("name", ["npy", "fits", "png"])
def test_a_file_in_parts_is_that_of_the_whole(
    bundle: Path, tmp_path: Path, expected: dict[str, bytes], name: str
) -> None:
    run = generate(bundle, tmp_path / f"tiles.{name}")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    assert (tmp_path / f"tiles.{name}").read_bytes() == expected[name]


@pytest.mark.parametrize("output", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("name", ["npy", "fits"])
def test_stdout_gets_the_bytes_of_the_file(bundle: Path, expected: dict[str, bytes], output: str, name: str) -> None:
    run = generate(bundle, output, "--format", name)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout == expected[name]
    assert not Path("-").exists()


def test_stdout_that_is_a_file_is_added_to(bundle: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    """As the shell's >> opens it: its name is not opened anew, nor is another file put in its place."""
    with (tmp_path / "all").open("ab") as both:
        both.write(b"before")
        both.flush()
        before = os.fstat(both.fileno()).st_ino
        arguments = ["--bundle", str(bundle), "--seed", "7", "--n", str(N), "--format", "npy"]
        for output in ("-", "/dev/stdout"):
            subprocess.run([*COMMAND, "generate", *arguments, "--output", output], stdout=both, check=True)
    assert (tmp_path / "all").read_bytes() == b"before" + 2 * expected["npy"]
    assert (tmp_path / "all").stat().st_ino == before


def test_a_format_must_be_named_where_no_suffix_does(bundle: Path) -> None:
    run = generate(bundle, "-")
    assert run.returncode == 1
    assert b"or give --format" in run.stderr


def test_a_device_stays_one(bundle: Path) -> None:
    assert generate(bundle, "/dev/null", "--format", "npy").returncode == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_gets_the_bytes_and_stays(bundle: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe.npy").read_bytes()))
    reader.start()
    assert generate(bundle, tmp_path / "pipe.npy").returncode == 0
    reader.join(30)
    assert read == [expected["npy"]]
    assert stat.S_ISFIFO((tmp_path / "pipe.npy").stat().st_mode)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(
    bundle: Path, tmp_path: Path, expected: dict[str, bytes], there: bool
) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far/target.npy"
    if there:
        target.write_bytes(b"old")
    (tmp_path / "tiles.npy").symlink_to("far/target.npy")
    assert generate(bundle, tmp_path / "tiles.npy").returncode == 0
    assert (tmp_path / "tiles.npy").is_symlink()
    assert target.read_bytes() == expected["npy"]
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target.npy"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_umask_s_mode_and_an_old_one_its_own(bundle: Path, tmp_path: Path, umask: int) -> None:
    old = tmp_path / "old.npy"
    old.write_bytes(b"old")
    old.chmod(0o640)
    for path in (tmp_path / "new.npy", old):
        assert generate(bundle, path, n=1, umask=umask).returncode == 0
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    run = generate(bundle, tmp_path, "--format", "npy")
    assert run.returncode == 1
    assert b"is a folder; name a file in it" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_may_be_called_as_stdout_is(bundle: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    run = generate(bundle, "./-", "--format", "npy", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, b"")
    assert (tmp_path / "-").read_bytes() == expected["npy"]


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_a_reader_that_leaves_ends_it_quietly(bundle: Path, output: str) -> None:
    arguments = ["--bundle", str(bundle), "--n", str(40 * A_STEP), "--format", "npy", "--output", output]
    with subprocess.Popen(
        [*COMMAND, "generate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    ) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.read(6) == b"\x93NUMPY"
        run.stdout.close()
        assert run.stderr.read() == b""


def test_a_closed_stdout_is_said(bundle: Path, tmp_path: Path) -> None:
    shell = f'exec "$0" -c "{COMMAND[2]}" generate --bundle "$1" --format npy --output - >&-'
    run = subprocess.run(["sh", "-c", shell, sys.executable, bundle], capture_output=True, check=False, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith(b"Error: /dev/stdout cannot be written: Bad file descriptor; ")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_stdout_or_a_device_leads_there(bundle: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    (tmp_path / "first.npy").symlink_to("second.npy")
    (tmp_path / "second.npy").symlink_to("/dev/stdout")
    (tmp_path / "null.npy").symlink_to("/dev/null")
    assert generate(bundle, tmp_path / "first.npy").stdout == expected["npy"]
    assert generate(bundle, tmp_path / "null.npy").returncode == 0
    assert all(path.is_symlink() for path in tmp_path.iterdir())
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("/dev/full", "/dev/full cannot be written: No space left on device; "),
        ("/dev/fd/9999", "/dev/fd/9999 cannot be written: Bad file descriptor; "),
        ("loop.npy", "loop.npy cannot be written: Too many levels of symbolic links; "),
        ("file/x.npy", "file/x.npy cannot be written: Not a directory; "),
        ("file/new/x.npy", "file/new/x.npy cannot be written: Not a directory; "),
        ("", ". is a folder; name a file in it"),
        ("n" * 300, "cannot be written: File name too long; "),
    ],
)
def test_where_nothing_can_be_written_one_sentence_says_so(
    bundle: Path, tmp_path: Path, output: str, sentence: str
) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    run = generate(bundle, output, "--format", "npy", n=1, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (1, b"")
    assert sentence in run.stderr.decode()
    assert run.stderr.startswith(b"Error: ")
    assert run.stderr.count(b"\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop.npy"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act for a user whose folder it is not")
def test_what_may_not_be_written_is_refused_before_it_is_drawn(open_to_all: Path) -> None:
    tmp_path = open_to_all
    (tmp_path / "mine.npy").write_bytes(b"old")
    (tmp_path / "mine.npy").chmod(0o644)
    code = "import os, sys; from pathlib import Path; from skygen.output import writing\n"
    code += "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    code += "with writing(Path(sys.argv[1]), 0): print('drawn')"
    for name, said in (("new.npy", f"nothing may be written in {tmp_path}"), ("mine.npy", "may not be written")):
        run = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=False)
        assert run.stdout == ""
        assert said in run.stderr.splitlines()[-1]
    assert (tmp_path / "mine.npy").read_bytes() == b"old"


def test_a_killed_run_leaves_the_old_file_and_the_next_clears_up(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tiles.npy").write_bytes(b"old")
    arguments = ["--bundle", str(bundle), "--n", str(400 * A_STEP), "--output", str(tmp_path / "tiles.npy")]
    with subprocess.Popen([*COMMAND, "generate", *arguments]) as run:
        while run.poll() is None and not any(path.stat().st_size > 1e6 for path in tmp_path.iterdir()):
            time.sleep(0.01)
        run.kill()
    assert (tmp_path / "tiles.npy").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    assert generate(bundle, tmp_path / "tiles.npy", n=1).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiles.npy"]


def test_a_walk_is_drawn_in_parts_too(tmp_path: Path, write_bundle: Callable[..., object]) -> None:
    write_bundle(bundle := tmp_path / "painter")
    steps, ends = 2 * A_STEP + 1, ["--from", "7", "--to", "8"]
    arguments = ["walk", "--bundle", str(bundle), *ends, "--steps", str(steps), "--output", str(tmp_path / "walk.fits")]
    subprocess.run([*COMMAND, *arguments], check=True)
    loaded, tiles = Bundle.load(bundle), walk(Tile(7), 8, steps)
    assert (tmp_path / "walk.fits").read_bytes() == encode(loaded.draw_all(tiles), "fits", loaded.origin(tiles))
    arguments[arguments.index(str(steps))] = "200000000"
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
    assert run.returncode == 1
    assert b"walk.fits needs 3.28TB, and " in run.stderr


def test_a_full_disk_leaves_the_old_file(bundle: Path, tmp_path: Path) -> None:
    """A limit on a file's size ends a write as a full disk does, at the second part."""
    (tmp_path / "tiles.npy").write_bytes(b"old")
    limited = [
        *COMMAND[:2],
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1500000,) * 2); {COMMAND[2]}",
    ]
    arguments = ["--bundle", str(bundle), "--n", str(N), "--output", str(tmp_path / "tiles.npy")]
    run = subprocess.run([*limited, "generate", *arguments], capture_output=True, check=False, text=True)
    assert run.returncode == 1
    assert "tiles.npy cannot be written: File too large; " in run.stderr
    assert "Traceback" not in run.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"tiles.npy": b"old"}


def test_what_the_disk_cannot_hold_is_refused_before_it_is_drawn(bundle: Path, tmp_path: Path) -> None:
    run = generate(bundle, tmp_path / "tiles.npy", n=300_000_000)
    assert run.returncode == 1
    assert b"needs 4.92TB, and " in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["json", "png"])
def test_what_is_encoded_as_one_is_bounded(bundle: Path, tmp_path: Path, name: str) -> None:
    most = MOST_WHOLE_BYTES // (4 * 64 * 64)
    run = generate(bundle, tmp_path / f"tiles.{name}", n=most + 1)
    assert run.returncode == 1
    assert f"({most} tiles of this set); ask for fewer, or for npy or fits".encode() in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_last_index_is_the_seeds_last(bundle: Path, tmp_path: Path) -> None:
    run = generate(bundle, tmp_path / "tiles.npy", "--first", str(2**31 - 2), n=3)
    assert run.returncode == 1
    assert b"the last of a seed is 2147483647" in run.stderr


def test_many_tiles_take_no_more_memory_than_few(bundle: Path) -> None:
    """10,000 tiles are 164 MB of flux."""

    def peak_bytes(n: int) -> int:
        code = f"{COMMAND[2].replace('main()', 'main(standalone_mode=False)')}; import resource, sys; "
        code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
        arguments = ["generate", "--bundle", str(bundle), "--n", str(n), "--format", "npy", "--output", "/dev/null"]
        run = subprocess.run([*COMMAND[:2], code, *arguments], capture_output=True, check=True, text=True)
        return int(run.stdout)

    few, many = peak_bytes(A_STEP), peak_bytes(10_000)
    assert many - few < 60e6
