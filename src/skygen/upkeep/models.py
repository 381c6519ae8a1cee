"""Bundles, hashed again: those of trainings, of the Bento, and the registry's copies."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skygen import tracking
from skygen.archives import extract
from skygen.files import read_json, sha256_file, sha256_folder
from skygen.gan.card import BundleError, load_generator
from skygen.upkeep.verify import Report

BENTO = Path("dist/skygen.bento")
_CATALOGUE = "catalogue.json"


def verify_models(report: Report) -> None:
    """Hash the bundles of the clone's trainings, of its Bento, and of the registry in use.

    Raises `ConnectionError` where the registry does not answer.
    """
    for folder in sorted(Path("models").glob("*/*/*/bundle")):
        _verify_training(folder, report)
    if BENTO.is_file():
        _verify_bento(report)
    _verify_registry(report)


def _verify_training(folder: Path, report: Report) -> None:
    """A bundle must load, and be the one that was evaluated."""
    _, tiles, recipe, seed, _ = folder.parts
    stage = f"`dvc checkout {folder.parent}`, or train it anew by `dvc repro`"
    report.checked += 1
    try:
        load_generator(folder)
    except BundleError as error:
        report.add(folder, str(error), f"remove it, then say {stage}")
        return
    metrics = Path("reports", tiles, recipe, seed, "metrics.json")
    if metrics.is_file() and (said := read_json(metrics)["bundle"]) != (found := sha256_folder(folder)):
        report.add(folder, f"its SHA-256 is {found}, {metrics} was measured of {said}", f"say {stage}")


def _verify_bento(report: Report) -> None:
    """The Bento's bundles and real tiles must be those of its catalogue."""
    remedy = f"remove it, then say `dvc checkout {BENTO}` or `dvc repro package`"
    try:
        with _unpacked(BENTO) as folder:
            contents = read_json(folder / _CATALOGUE)
            expected = {folder / name: sha256 for name, sha256 in contents["sha256"].items()}
            expected |= {folder / tiles / "real.npy": sha256 for tiles, sha256 in contents.get("real", {}).items()}
            for path, sha256 in expected.items():
                found = sha256_folder(path) if path.is_dir() else sha256_file(path)
                report.checked += 1
                if found != sha256:
                    said = f"its SHA-256 is {found}, {_CATALOGUE} says {sha256}"
                    report.add(f"{BENTO}, {path.relative_to(folder)}", said, remedy)
    except (tarfile.TarError, EOFError, OSError, KeyError, ValueError) as error:
        report.add(BENTO, f"no Bento that can be read ({error})", remedy)


@contextmanager
def _unpacked(bento: Path) -> Iterator[Path]:
    """The folder of bundles in a Bento."""
    with TemporaryDirectory(prefix="skygen-verify-") as temporary, tarfile.open(bento) as archive:
        extract(archive, Path(temporary))
        catalogue = next(Path(temporary).rglob(_CATALOGUE), None)
        if catalogue is None:
            raise ValueError(f"it has no {_CATALOGUE}")
        yield catalogue.parent


def _verify_registry(report: Report) -> None:
    """The registry's copies must be what they were registered as."""
    for copy in tracking.copies():
        report.checked += 1
        named = f"version {copy.version} of {copy.name}{', the champion' if copy.is_champion else ''}"
        if copy.found != copy.sha256:
            said = f"its SHA-256 is {copy.found}, its tag says {copy.sha256}" if copy.found else "its files are lost"
            report.add(named, said, "restore them by `skygen restore`, or run the stage package again with its bundle")
