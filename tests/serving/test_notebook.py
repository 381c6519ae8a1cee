"""The example notebook, run against the service with the bundles that ship: what it measures is what is known."""

from typing import Any

import nbformat
import pytest

from tests.harness.notebooks import code_cells, executed, figures_of, results_of
from tests.harness.served import BUNDLES as SHIPPED
from tests.harness.served import ROOT, served

NOTEBOOK = ROOT / "examples/photometry.ipynb"
DEPTHS = ("twice the noise", "the survey", "a third of the noise")

pytestmark = pytest.mark.skipif(not SHIPPED.is_dir(), reason="no bundles are in the tree")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The notebook with its outputs."""
    home = tmp_path_factory.mktemp("jupyter")
    with served(home, {}, SHIPPED) as service:
        return executed(NOTEBOOK, home, {"SKYGEN_URL": service.url})


@pytest.fixture(scope="module")
def results(run: nbformat.NotebookNode) -> dict[str, Any]:
    """The dictionary with which the notebook ends."""
    return results_of(run)


def test_it_is_kept_without_outputs() -> None:
    cells = code_cells(nbformat.read(NOTEBOOK, as_version=4))
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)


def test_it_draws_its_figures(run: nbformat.NotebookNode) -> None:
    assert figures_of(run) == 3


def test_flux_differs_from_the_truth_as_the_noise_explains(results: dict[str, Any]) -> None:
    """Over a hundred sources: the mean of their errors is known to a tenth of one, their spread to 6 %."""
    assert results["faint"] > 100
    for depth in DEPTHS:
        mean, spread = results["pull"][depth]
        assert abs(mean) < 0.3
        assert 0.8 < spread < 1.2
    assert results["pull"][DEPTHS[0]] == pytest.approx(results["pull"][DEPTHS[2]], abs=1e-3)  # one draw of the noise


def test_sep_and_photutils_measure_the_same(results: dict[str, Any]) -> None:
    assert results["sep against photutils"] < 1e-9


@pytest.mark.parametrize("finder", ["sep", "photutils"])
def test_deeper_tiles_show_more_sources(results: dict[str, Any], finder: str) -> None:
    shallow, survey, deep = (results["found"][f"{finder}, {depth}"] for depth in DEPTHS)
    assert 0 < shallow < survey
    assert survey * 1.5 < deep <= results["sources"]


@pytest.mark.parametrize("finder", ["sep", "photutils"])
def test_bright_sources_are_found_at_every_depth(results: dict[str, Any], finder: str) -> None:
    assert results["bright"] >= 10
    assert min(results["bright found"][f"{finder}, {depth}"] for depth in DEPTHS) > 0.8
