"""What each stage of dvc.yaml depends on: the code that it runs, no less and no more."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from skygen.params import load
from tools import stages

STAGES = YAML(typ="safe").load(stages.LISTS)["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_imports_and_on_no_other(stage: str) -> None:
    assert [path for path in STAGES[stage]["deps"] if stages.is_code(path)] == [
        stages.script_of(stage),
        *stages.code_of(stage),
    ], "run make stages"


def test_tiles_are_cut_of_every_set_and_models_compared_on_those_with_an_encoder() -> None:
    params = load(stages.ROOT / "params.yaml")

    assert STAGES["tiles"]["matrix"]["set"] == list(params.tiles.sets)
    for name in ("train", "controls", "evaluate"):
        assert STAGES[name]["matrix"]["set"] == list(params.judged)
    assert {path for path in STAGES["frames"]["params"] if path.endswith(".bands")} == {
        f"tiles.{name}.bands" for name in params.tiles.sets
    }
    assert {f"data/tiles/{name}" for name in params.judged} <= set(STAGES["compare"]["deps"])


def reruns(path: str) -> set[str]:
    """The stages that a changed file re-runs, before those that need what they make."""
    return {
        name
        for name, stage in STAGES.items()
        if any(Path(path).is_relative_to(dependency) for dependency in stage["deps"])
    }


def test_the_download_re_runs_the_frames_alone() -> None:
    assert reruns("src/skygen/sky/archive/download.py") - {"package"} == {"frames"}


def test_the_report_re_runs_the_comparison_alone() -> None:
    assert reruns("src/skygen/report/page.html") - {"package"} == {"compare"}
