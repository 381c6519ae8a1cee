"""What `skygen folds` is asked for, what its folders hold, and what is refused."""

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from skygen.bundle.bundle import Bundle
from skygen.cli import main
from skygen.folds.plan import Plan
from skygen.folds.workplace import Fold, folds_of, linked, stages_of
from skygen.names import known
from skygen.params import load
from skygen.sky.field import FieldId
from tests.e2e.conftest import ROOT
from tests.folds.conftest import FIELDS


@pytest.fixture
def plan(clone, monkeypatch):
    """A function: the plan of what is named, in the clone."""
    monkeypatch.chdir(clone.folder)

    def make(**named):
        return Plan.of(load(clone.folder / "params.yaml"), **named)

    return make


def read(path):
    return YAML(typ="safe").load(path)


def test_every_field_tests_once_and_chooses_once(plan):
    folds = plan().folds
    assert [fold.test for fold in folds] == FIELDS
    assert [fold.validation for fold in folds] == [*FIELDS[1:], FIELDS[0]]


def test_a_subset_of_the_folds_has_the_same_folds(plan):
    assert plan(fields=[FIELDS[3], FIELDS[1]]).folds == [Fold(FIELDS[3], FIELDS[0]), Fold(FIELDS[1], FIELDS[2])]


def test_what_is_not_named_is_what_params_yaml_compares(plan):
    whole = plan()
    assert (list(whole.sets), list(whole.recipes), list(whole.seeds)) == (["r64", "gri128"], ["gan"], [0])
    named = plan(sets=["r64"], recipes=["scene"], seeds=[3, 1])
    assert (list(named.sets), list(named.recipes), list(named.seeds)) == (["r64"], ["scene"], [3, 1])


@pytest.mark.parametrize(
    ("named", "refusal"),
    [
        ({"sets": ["r63"]}, "no tile set is called r63; there are: r64, gri128"),
        ({"recipes": ["scene", "wgan"]}, "no recipe is called wgan; there are: gan, improved, ambient, scene"),
        ({"fields": ["94-1-99"]}, f"no field is called 94-1-99; there are: {', '.join(FIELDS)}"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(plan, named, refusal):
    with pytest.raises(ValueError, match=f"^{refusal}$"):
        plan(**named)


def test_a_name_that_is_given_twice_counts_once():
    assert known("field", ["b", "a", "b"], ["a", "b"]) == ["b", "a"]


def test_without_frames_the_stage_that_makes_them_is_named(tmp_path, monkeypatch, params):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="run the stage frames"):
        Plan.of(params)


def test_a_bundle_decides_its_set_and_seed_and_no_other_is_taken(plan, tmp_path, write_bundle):
    write_bundle(tmp_path / "bundle", seed=4)
    for folder in (tmp_path, tmp_path / "bundle"):  # as a training leaves it, and alone
        found = plan(bundle=folder)
        assert found.finished is not None
        assert (found.sets, found.recipes, found.seeds) == (["r64"], [f"gan-{found.finished.sha256[:8]}"], [4])
        assert "train" not in found.stages()
    with pytest.raises(ValueError, match="give none of them with it"):
        plan(bundle=tmp_path, seeds=[1])
    with pytest.raises(ValueError, match="a bundle holds"):
        plan(bundle=tmp_path.parent)


@pytest.mark.parametrize("with_discriminator", [True, False])
def test_a_bundle_lies_where_a_training_of_the_fold_would_leave_it(plan, tmp_path, write_bundle, with_discriminator):
    write_bundle(tmp_path / "bundle", seed=5)
    if with_discriminator:
        (tmp_path / "discriminator.safetensors").write_bytes(b"x")
    found = plan(bundle=tmp_path / "bundle")
    found.finished.lay_into(found.folds[0])
    place = found.folds[0].folder / "models/r64" / found.finished.recipe / "5"
    assert Bundle.load(place / "bundle").sha256 == found.finished.sha256
    assert (place / "discriminator.safetensors").is_file() == with_discriminator


def test_the_list_says_what_would_be_run_and_runs_nothing(clone, monkeypatch):
    monkeypatch.chdir(clone.folder)
    before = sorted(path.name for path in clone.folder.iterdir())
    listed = CliRunner().invoke(main, ["folds", "--sets", "r64", "--seeds", "0, 2", "--list"])
    assert listed.exit_code == 0, listed.output
    *folds, stages = listed.output.splitlines()
    assert folds[0] == f"{FIELDS[0]} tests, {FIELDS[1]} chooses, the other fields train"
    assert len(folds) == len(FIELDS)
    assert stages.endswith("train@r64-gan-0, evaluate@r64-gan-0, train@r64-gan-2, evaluate@r64-gan-2")
    assert sorted(path.name for path in clone.folder.iterdir()) == before


def test_what_is_no_seed_ends_the_command(clone, monkeypatch):
    monkeypatch.chdir(clone.folder)
    assert CliRunner().invoke(main, ["folds", "--seeds", "0,one"]).exit_code == 2


@pytest.fixture
def prepared(plan, tmp_path, monkeypatch):
    """The folder of a fold of a whole plan, as the clone left it."""
    whole = plan()
    fold = whole.folds[2]
    for _ in range(2):  # again changes nothing
        fold.prepare(whole.stages(), tmp_path / "cache")
    return fold.folder


def test_the_parameters_of_a_fold_are_the_clones_but_for_what_is_held_out(prepared):
    ours, theirs = read(prepared.parents[1] / "params.yaml"), read(prepared / "params.yaml")
    for name in ("r64", "gri128", "sky"):
        assert theirs["tiles"][name].pop("hold_out") == {"validation": [FIELDS[3]], "test": [FIELDS[2]]}
        ours["tiles"][name].pop("hold_out", None)
    assert theirs == ours


def test_a_fold_has_no_stage_that_makes_frames_or_compares(prepared):
    stages = read(prepared / "dvc.yaml")["stages"]
    assert next(iter(stages)) == "tiles"
    assert {"tiles", "controls", "train", "evaluate"} <= set(stages)
    assert not {"frames", "compare", "package"} & set(stages)
    assert list(stages["train"]["matrix"]) == ["set", "recipe", "seed"]  # the order names the stages


def test_code_and_frames_of_a_fold_are_the_clones_own(clone, prepared):
    for name in ("src", "pipelines", "data/frames"):
        assert (prepared / name).is_symlink()
        assert (prepared / name).resolve() == (clone.folder / name).resolve()
    assert not (prepared / "data").is_symlink()


def test_what_a_fold_makes_is_no_link_to_the_clones(monkeypatch):
    monkeypatch.chdir(ROOT)
    sets, recipe = {"set": ["r64", "gri128"]}, {"recipe": ["scene"], "seed": [0]}
    tiles = {"set": ["r64", "gri128", "sky"]}
    stages = stages_of({"tiles": tiles, "controls": sets, "train_process": recipe, "evaluate": {**sets, **recipe}})
    assert "data/tiles/sky" in stages["train_process"]["deps"]
    assert linked(stages) == ["data/frames", "encoders", "pipelines", "src"]


def places(*numbers):
    """Fields of run 94, ten degrees apart for each number between them."""
    return {FieldId(94, 1, number): (10.0 * number, 0.0) for number in numbers}


def test_one_field_more_changes_one_fold_and_adds_one():
    before, after = folds_of(places(1, 2, 4)), folds_of(places(1, 2, 3, 4))
    assert len(set(after) - set(before)) == 2


def test_a_field_that_shares_sky_with_the_one_that_tests_does_not_choose():
    """The fields of a run follow each other on the sky."""
    run = places(1, 9) | {FieldId(94, 1, 2): (10.15, 0.0)}
    assert [(fold.test, fold.validation) for fold in folds_of(run)] == [
        ("94-1-1", "94-1-9"),
        ("94-1-2", "94-1-9"),
        ("94-1-9", "94-1-1"),
    ]
    with pytest.raises(ValueError, match=r"field 94-1-1 shares sky with all others, .* give more fields"):
        folds_of({field: place for field, place in run.items() if field.field < 3})


def test_frames_of_another_source_than_params_yaml_has_are_refused(plan, clone):
    params = load(clone.folder / "params.yaml")
    other = params.model_copy(update={"frames": params.frames.model_copy(update={"source": "simulated"})})
    with pytest.raises(ValueError, match=r"data/frames holds local frames, .* simulated: run dvc repro frames"):
        Plan.of(other)
