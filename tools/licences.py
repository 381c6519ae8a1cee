"""Licences of what the images hold, as the installed parts name them themselves."""

import re
from importlib.metadata import PackageNotFoundError, metadata

from packaging.utils import canonicalize_name

from pipelines.package import serving_requirements
from tools.locks import CUDA_LOCK, LOCK

_COPYLEFT = re.compile(r"GPL|General Public|MPL|Mozilla|EPL|Eclipse|EUPL|CDDL|CeCILL|SSPL|OSL|CC-BY-SA|Share ?Alike")


def images() -> dict[str, set[str]]:
    """The distributions of each image, by their locks: `serve`, and `train-cuda`, which holds those too."""
    pinned = re.findall(r"^([\w.-]+)==", CUDA_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    serve = {
        canonicalize_name(pin.partition("==")[0]) for pin in serving_requirements(LOCK.read_text(encoding="utf-8"))
    }
    return {"serve": serve, "train-cuda": {canonicalize_name(name) for name in pinned}}


def licence(name: str) -> str:
    """What a distribution says of its licence, every way it says it; nothing where it is not installed or silent."""
    try:
        said = metadata(name)
    except PackageNotFoundError:  # CUDA's libraries, where torch's CPU build is installed
        return ""
    marks = [each.rpartition(" :: ")[2] for each in said.get_all("Classifier") or [] if each.startswith("License ::")]
    fields = [said.get("License-Expression"), _line(said.get("License")), *marks]
    return "; ".join(dict.fromkeys(each for each in fields if each and each != "OSI Approved"))


def copyleft(names: set[str]) -> dict[str, str]:
    """The licences of those of the distributions that name a copyleft one, be it as a choice."""
    said = {name: licence(name) for name in sorted(names)}
    return {name: its for name, its in said.items() if _COPYLEFT.search(its)}


def _line(text: str | None) -> str:
    """A field that names a licence, and not one that is its whole text."""
    return text if text and len(text) < 100 else ""
