"""The example notebooks, run as a reader runs them."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

_OF_JUPYTER = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR")


def executed(path: Path, home: Path, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """The notebook at `path` with its outputs; what Jupyter writes of its own lies under `home`."""
    notebook = nbformat.read(path, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**{name: str(home / name) for name in _OF_JUPYTER}, **environment}.items():
            patch.setenv(name, value)
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def results_of(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """The dictionary with which an executed notebook ends."""
    (output,) = notebook.cells[-1].outputs
    found: dict[str, Any] = ast.literal_eval(output.data["text/plain"])
    return found


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Its cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figures_of(notebook: nbformat.NotebookNode) -> int:
    """How many figures an executed notebook drew."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)
