"""What the Dockerfile installs from a lock: what is asked for with its needs, and nothing with another hash."""

import hashlib
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from deploy import install

PROJECT = '[project]\nname = "ours"\ndependencies = ["alpha"]\n[project.optional-dependencies]\nmore = ["Gamma_Two"]\n'


def wheel(folder: Path, name: str, needs: str = "") -> str:
    """A wheel with a line of its metadata about its needs; its hash as a lock has it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in files.items():
            archive.writestr(inner, content)
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The hashes of four wheels, of which alpha needs beta, in an index of their own; an environment to fill."""
    needs = {"alpha": "Requires-Dist: beta>=1", "beta": "", "gamma_two": "", "delta": ""}
    made = {name: wheel(tmp_path, name, need) for name, need in needs.items()}
    venv.create(tmp_path / "venv", with_pip=False)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(install, "VENV", str(tmp_path / "venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    return made


def lock(hashes: dict[str, str]) -> str:
    lines = (f"{name.replace('_', '-')}==1.0 \\\n    --hash={value}\n" for name, value in hashes.items())
    Path("some.lock").write_text("# made by a test\n" + "".join(lines))
    return "some.lock"


def installed() -> set[str]:
    return {path.name.partition("-")[0] for path in Path("venv").rglob("*.dist-info")}


def test_what_is_asked_for_is_installed_with_its_needs_alone(hashes: dict[str, str]) -> None:
    install.main(lock(hashes), "ours")
    assert installed() == {"alpha", "beta"}


def test_extras_and_distributions_are_words_too(hashes: dict[str, str]) -> None:
    install.main(lock(hashes), "more", "delta")
    assert installed() == {"gamma_two", "delta"}


def test_a_lock_without_hashes_is_taken(hashes: dict[str, str]) -> None:
    Path("some.lock").write_text("alpha==1.0\nbeta==1.0 ; python_version >= '3'\ndelta==1.0\n")
    install.main("some.lock", "ours")
    assert installed() == {"alpha", "beta"}


def test_a_file_with_another_hash_is_not_installed(hashes: dict[str, str]) -> None:
    text = lock(hashes | {"beta": f"sha256:{'0' * 64}"})
    with pytest.raises(subprocess.CalledProcessError):
        install.main(text, "ours")
    assert installed() == set()


def test_what_the_lock_lacks_is_named(hashes: dict[str, str]) -> None:
    hashes.pop("beta")
    with pytest.raises(SystemExit, match=r"^some\.lock lacks beta: say make lock, or "):
        install.main(lock(hashes), "ours")


def test_it_needs_nothing_but_python_and_pip() -> None:
    path = Path(install.__file__)
    assert subprocess.run([sys.executable, "-IS", "-c", f"import runpy; runpy.run_path({str(path)!r})"], check=True)
