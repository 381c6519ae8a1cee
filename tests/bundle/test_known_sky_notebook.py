"""The notebook that measures a detection pipeline on a generated sky, run with a process that nobody trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.harness.notebooks import code_cells, executed, figures_of, results_of

NOTEBOOK = Path(__file__).parents[2] / "examples/known_sky.ipynb"
TOOLS = ("sep", "photutils")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> nbformat.NotebookNode:
    """The notebook with its outputs."""
    home, bundle = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("bundle")
    write_bundle(bundle, recipe="scene", bands=["g", "r", "i"])
    return executed(NOTEBOOK, home, {"SKYGEN_BUNDLE": str(bundle)})


@pytest.fixture(scope="module")
def results(run: nbformat.NotebookNode) -> dict[str, Any]:
    """The dictionary with which the notebook ends."""
    return results_of(run)


def test_it_is_kept_without_outputs() -> None:
    cells = code_cells(nbformat.read(NOTEBOOK, as_version=4))
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)


def test_it_draws_its_figures(run: nbformat.NotebookNode) -> None:
    assert figures_of(run) == 4


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_bright_is_found(results: dict[str, Any], tool: str) -> None:
    """But for what lies so near to something brighter that no tool tells the two apart."""
    assert results["bright complete"][tool] > 0.88


def test_half_the_noise_shows_what_is_half_as_bright(results: dict[str, Any]) -> None:
    """Detection goes by signal to noise: twice the depth is 0.75 mag."""
    deep, survey, shallow = (results["half complete"][factor] for factor in (0.5, 1, 2))
    assert 0.5 < deep - survey < 1.0
    assert 0.5 < survey - shallow < 1.0


@pytest.mark.parametrize("tool", TOOLS)
def test_the_fluxes_of_isolated_stars_are_right(results: dict[str, Any], tool: str) -> None:
    mean, error = results["bias"][tool]
    assert results["stars"] >= 12
    assert error < 0.004
    assert abs(mean) < 0.005 + 2 * error


def test_sep_and_photutils_measure_the_same_light(results: dict[str, Any]) -> None:
    assert results["sep against photutils"] < 1e-6
