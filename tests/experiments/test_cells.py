"""Which cells an experiment has, what they train, and which of them share a training."""

import pytest

from skygen.experiments.cells import Cell, Cells
from skygen.experiments.spec import FOLDER, read_experiments
from skygen.experiments.training import Clone
from tests.e2e.conftest import ROOT


class Known(Clone):
    """A clone whose tiles and controls are not looked at."""

    def code(self, stage, tiles):
        return [stage]

    def data(self, tiles):
        return tiles

    def controls(self, tiles):
        return tiles


@pytest.fixture
def cells(params, monkeypatch, tmp_path):
    """A function: the cells of one of the project's experiments, none of them done."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    experiments = read_experiments(params, ROOT / FOLDER)
    return lambda name: Cells(experiments[name], Known(params))


def test_the_two_best_again_are_counted_from_the_start(cells):
    assert {name: cells(name).total for name in ("optimiser", "budget", "comparison", "dropout")} == {
        "optimiser": 5 * 3 + 2 * 2,
        "budget": 9 + 2 * 4,
        "comparison": 3 * 5 + 3 * 3,
        "dropout": 4 * 5,
    }
    assert cells("optimiser").again() == []  # which are the best is not known yet


@pytest.mark.parametrize(("claimed_is", "more"), [(9, 3), (0, 2)])  # its kernel: the worst, or the best of all
def test_what_a_claim_prefers_is_trained_again_beside_the_two_best(cells, monkeypatch, claimed_is, more):
    kernels = {"i25000-b128": 1, "i15000-b64": 2, "i20000-b32": claimed_is}

    def result(cell):
        return {"lost": None, "validation": {"kernel": {"value": kernels.get(cell.arm, 5)}}} if cell.seed == 0 else None

    monkeypatch.setattr(Cell, "result", result)
    budget = cells("budget")

    best = sorted(kernels, key=kernels.__getitem__)[:2]
    assert {cell.arm for cell in budget.again()} == {*best, "i20000-b32"}
    assert budget.total == 9 + more * 4


def test_all_arms_have_a_seed_before_any_has_the_next(cells):
    names = [cell.name for cell in cells("dropout").first]
    assert [name.rpartition("-")[2] for name in names] == [str(seed) for seed in range(5) for _ in range(4)]


def test_a_process_is_trained_once_for_all_tile_sets_and_a_painter_for_each(cells):
    trainings = {cell.name: cell.training for cell in cells("comparison").first}
    scene, gan = ([trainings[f"{arm}-{tiles}-1"] for tiles in ("r64", "gri128")] for arm in ("scene", "gan"))
    assert {training.tiles for training in scene} == {"sky"}
    assert len({training.identity for training in scene}) == 1
    assert [training.tiles for training in gan] == ["r64", "gri128"]
    assert len({training.identity for training in gan}) == 2
    assert len({training.folder for training in trainings.values()}) == 2 * (5 + 3) + 5


def test_what_two_experiments_have_in_common_is_one_training(cells, params):
    """At a scale that shortens both alike."""
    adam, tanh = (
        next(cell for cell in cells(name).first if cell.arm == arm).training
        for name, arm in (("optimiser", "adam"), ("activation", "tanh"))
    )
    assert adam.identity == tanh.identity
    assert adam.evaluation("r64") == tanh.evaluation("r64")
    whole = params.chosen.training["r64"]
    assert adam.scale == whole.model_copy(update={"iterations": whole.iterations // 2})


def test_a_long_experiment_is_shortened_at_a_scale(cells, params):
    whole = params.chosen.training["r64"]
    budgets = {cell.arm: cell.training.scale for cell in cells("budget").first}
    assert budgets["i25000-b64"].iterations == round(whole.iterations * 0.5 * 1.25)
    assert budgets["i25000-b64"].batch == 2 * whole.batch
