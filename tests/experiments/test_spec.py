"""experiments/NAME.yaml: the ones that come with the project, and what is refused."""

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from skygen.cli import main
from skygen.experiments.spec import FOLDER, choose, read_experiments
from skygen.params import ParamsError
from tests.e2e.conftest import ROOT


def claim(**changes):
    """What an experiment says of two arms and a claim."""
    return {"grid": {"a": {"one": {}, "two": {}}}, "claims": [{"text": "t", "better": "one", **changes}]}


@pytest.fixture(scope="module")
def shipped(params):
    return read_experiments(params, ROOT / FOLDER)


@pytest.fixture
def refusal(tmp_path, params):
    """A function: why an experiment with some `changes` is refused."""
    good = {"title": "t", "rows": ["P6"], "sets": {"r64": [0]}, "recipes": ["gan"], "grid": {"a": {"one": {}}}}

    def refused(**changes):
        YAML().dump({**good, **changes}, tmp_path / "mine.yaml")
        with pytest.raises(ParamsError) as found:
            read_experiments(params, tmp_path)
        return str(found.value)

    return refused


def test_the_papers_tables_have_their_experiments(shipped):
    tables = {alias: found.name for found in shipped.values() for alias in found.spec.aliases}
    assert tables == {"table1": "optimiser", "table2": "budget", "table3": "activation", "table4": "comparison"}
    assert {row for found in shipped.values() for row in found.spec.rows} >= {"P4", "P5", "P6", "P7", "P8", "P9"}


def test_arms_have_the_papers_numbers(shipped):
    optimiser = shipped["optimiser"]
    assert {name: arm.row.optimiser for name, arm in optimiser.arms.items()} == {
        name: name for name in ("adam", "adamax", "sgd", "adagrad", "rmsprop")
    }
    assert max(optimiser.spec.paper["r64"], key=optimiser.spec.paper["r64"].get) == "adam"
    assert len(shipped["budget"].arms) == len(shipped["budget"].spec.paper["r64"]) == 9


def test_budgets_are_in_the_papers_proportions_of_the_scale(shipped, params):
    scale, arms = params.scales["paper"].training["r64"], shipped["budget"].arms
    sizes = {name: arm.scaled(scale, 1.0) for name, arm in arms.items()}
    for name, size in sizes.items():
        assert name == f"i{size.iterations}-b{size.batch}"  # the scale `paper` is the paper's own
    half = arms["i15000-b128"].scaled(scale, 0.5)
    assert (half.iterations, half.batch, half.width) == (7500, 128, scale.width)


def test_one_arm_of_each_question_is_the_recipe_as_it_is(shipped, recipes):
    for name in ("optimiser", "activation", "learning_rates", "initialisation", "dropout", "loss"):
        assert [arm.name for arm in shipped[name].arms.values() if arm.row == recipes["improved"]] != [], name


def test_each_claim_of_the_paper_is_in_a_file(shipped):
    claims = {name: [(one.better, one.than) for one in found.spec.claims] for name, found in shipped.items()}
    assert claims["optimiser"] == [("adam", [])]
    assert claims["budget"] == [("i20000-b32", [])]
    assert claims["activation"] == [("tanh", [])]
    assert ("weights_uniform-latents_normal", ["weights_normal-latents_normal"]) in claims["initialisation"]
    assert claims["dropout"] == [("s_dropout_iteration", ["fixed"])]
    assert claims["learning_rates"] == [("generator_faster", ["equal"])]
    assert claims["loss"] == [("clipping", ["jensen_shannon"]), ("clipping", ["jensen_shannon_five_steps"])]
    by = {one.metric: one.sets for one in shipped["comparison"].spec.claims}
    assert {"accuracy", "kernel", "trouble", "noise_correlation"} <= by.keys()
    assert by["accuracy"] == by["kernel"] == []  # both


def test_an_experiment_is_found_by_its_name_and_its_alias(shipped):
    assert [found.name for found in choose(shipped, ["table1", "dropout", "optimiser"])] == ["optimiser", "dropout"]
    with pytest.raises(ValueError, match=r"no experiment is called table5; there are: .*budget, table2"):
        choose(shipped, ["table5"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": {"sky": [0]}}, "no tile set with an encoder is called sky; there are: r64, gri128"),
        ({"recipes": ["wgan"]}, "no recipe is called wgan; there are: gan, improved, ambient, scene"),
        ({"ranked_by": "fid"}, "no metric is called fid; there are: accuracy, "),
        ({"length": {"huge": 1.0}}, "no scale is called huge; there are: laptop, workstation, paper"),
        ({"against": "two"}, "no arm in `against` is called two; there are: one"),
        ({"paper": {"r64": {"two": 0.5}}}, "no arm in `paper` is called two; there are: one"),
        (
            {"grid": {"a": {"one": {"rate": 1}}}},
            "no value of gan in arm one is called rate; there are: iterations_factor",
        ),
        ({"grid": {"a": {"one": {"optimiser": "lion"}}}}, "mine.yaml: arm one: optimiser = 'lion'"),
        ({"grid": {"a": {"one": {"batch_factor": 0}}}}, "arm one: batch_factor must be above 0"),
        ({"again": {"best": 0, "seeds": [0]}}, "again.best = 0"),
        ({"claims": [{"text": "t", "better": "two"}]}, "no arm in `claims` is called two; there are: one"),
        ({"claims": [{"text": "t", "better": "one"}]}, "the claim 't' has no arm beside one to be better than"),
        (claim(than="one"), "no other arm than one in `claims` is called one; there are: two"),
        (claim(than=["two", "three"]), "no other arm than one in `claims` is called three; there are: two"),
        (claim(metric="fid"), "no metric or steadiness in `claims` is called fid; there are: accuracy, "),
        (claim(metric="fid"), "trouble, last_over_best, best_after"),
        (claim(sets=["gri128"]), "no tile set in `claims` is called gri128; there are: r64"),
        (claim(split="train"), "claims.0.split = 'train'"),
        ({"seeds": [0]}, "seeds: unknown key"),
        ({"rows": ["table 1"]}, "rows.0 = 'table 1'"),
    ],
)
def test_what_is_wrong_is_refused_with_what_there_is(refusal, changes, said):
    assert said in refusal(**changes)


def test_a_name_is_of_one_experiment(tmp_path, params):
    good = {"title": "t", "rows": ["P6"], "sets": {"r64": [0]}, "recipes": ["gan"], "aliases": ["other"]}
    for name in ("mine", "other"):
        YAML().dump(good, tmp_path / f"{name}.yaml")
    with pytest.raises(ParamsError, match="other names two experiments"):
        read_experiments(params, tmp_path)


def test_the_command_lists_experiments_before_there_are_tiles_and_refuses_others(tmp_path, monkeypatch):
    for name in ("experiments", "params.yaml", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(main, ["paper"])
    assert listed.exit_code == 0, listed.output
    assert "optimiser, table1: 0 of 19 cells done. Which optimiser trains the improved GAN best?" in listed.output
    unknown = CliRunner().invoke(main, ["paper", "table5"])
    assert unknown.exit_code == 1
    assert "no experiment is called table5; there are: activation, table3, " in unknown.output
    run = CliRunner().invoke(main, ["paper", "table1"])
    assert (run.exit_code, "run dvc repro tiles controls" in run.output) == (1, True), run.output
