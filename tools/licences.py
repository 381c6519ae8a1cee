"""Licences of what the images hold, as the installed parts name them themselves."""

import re
from importlib.metadata import PackageNotFoundError, metadata

from packaging.utils import canonicalize_name

from pipelines.package import serving_requirements
from tools.locks import CUDA_LOCK, LOCK

_COPYLEFT = re.compile(r"GPL|General Public|MPL|Mozilla|EPL|Eclipse|EUPL|CDDL|CeCILL|SSPL|OSL|CC-BY-SA|Share ?Alike")


def images() -> dict[str, set[str]]:
    """The distributions of each image, by their locks: `serve`, and `train-cuda`, which holds those too."""
    serve = serving_requirements(LOCK.read_text(encoding="utf-8"))
    train = re.findall(r"^[\w.-]+==", CUDA_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    pins = {"serve": serve, "train-cuda": train}
    return {image: {str(canonicalize_name(pin.partition("==")[0])) for pin in held} for image, held in pins.items()}


def licence(name: str) -> str:
    """What a distribution says of its licence, every way it says it; nothing where it is not installed or silent."""
    try:
        said = metadata(name).json
    except PackageNotFoundError:  # CUDA's libraries, where torch's CPU build is installed
        return ""
    marks = [each.rpartition(" :: ")[2] for each in said.get("classifier", ()) if each.startswith("License ::")]
    fields = [str(said.get("license_expression", "")), _line(str(said.get("license", ""))), *marks]
    return "; ".join(dict.fromkeys(each for each in fields if each and each != "OSI Approved"))


def copyleft(names: set[str]) -> dict[str, str]:
    """The licences of those of the distributions that name a copyleft one, be it as a choice."""
    said = {name: licence(name) for name in sorted(names)}
    return {name: its for name, its in said.items() if _COPYLEFT.search(its)}


def _line(text: str) -> str:
    """A field that names a licence, and not one that is its whole text."""
    return text if len(text) < 100 else ""
