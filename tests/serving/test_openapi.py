"""The service against its own document: what schemathesis makes of it is answered as the document says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.serving import sound_bodies

ROOT = Path(__file__).parents[2]
CLI = Path(sys.executable).parent / "schemathesis"
# The document of types cannot say what a recipe takes, or that large n is not for JSON.
LEFT_OUT = ("version", "truth", "stars", "galaxies")  # of queries: they have defaults
SOUND: dict[str, list[Any]] = {
    "tiles": ["r64", "gri128"],
    "model": ["champion"],
    "noise": ["survey"],
    "seeing": ["survey"],
    "density": [{}],
    "truth": [False],
    "format": ["png", "npy", "fits", None],
}


def run(folder: Path, document: str, url: str, *options: str, hooks: str = "") -> None:
    """Fail with schemathesis's own report where it finds anything."""
    command = [str(CLI), "run", document, "--url", url, "--checks", "all", "--phases", "fuzzing", "--no-color"]
    command += ["--seed", "1", "--generation-database", "none", "--continue-on-failure", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"SCHEMATHESIS_HOOKS": hooks} if hooks else {})
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_answers_to_sound_and_broken_requests_are_documented(client: httpx.Client, tmp_path: Path) -> None:
    """All checks but one: a set or a recipe that is not here is sound by the document, and refused by name."""
    url = str(client.base_url)
    run(tmp_path, f"{url}/docs.json", url, "--max-examples", "8", "--exclude-checks", "positive_data_acceptance")


def test_what_the_document_allows_is_answered(client: httpx.Client, tmp_path: Path) -> None:
    """Where the sets and recipes that are here are the only ones to ask for, no sound request is refused."""
    document = narrowed(client.get("/docs.json").json())
    (tmp_path / "docs.json").write_text(json.dumps(document))
    options = ("--mode", "positive", "--max-examples", "8", "--exclude-path-regex", "real|sky|catalogue")
    run(tmp_path, str(tmp_path / "docs.json"), str(client.base_url), *options, hooks=sound_bodies.__name__)


def narrowed(part: Any) -> Any:
    """The document with the parameters and properties of SOUND taking those values alone, and no large n or seed."""
    if isinstance(part, list):
        return [narrowed(each) for each in part if not (isinstance(each, dict) and each.get("name") in LEFT_OUT)]
    if not isinstance(part, dict):
        return part
    if part.get("name") in SOUND and "in" in part:
        return part | {"schema": {"enum": [value for value in SOUND[part["name"]] if value is not None]}}
    if part.get("pattern") == "^[0-9]{1,19}$":
        return part | {"pattern": "^[0-9]{1,18}$"}
    made = {key: narrowed(value) for key, value in part.items()}
    if isinstance(made.get("properties"), dict):
        made["properties"] |= {name: {"enum": values} for name, values in SOUND.items() if name in made["properties"]}
        if "n" in made["properties"]:
            made["properties"]["n"]["maximum"] = 9
    return made
