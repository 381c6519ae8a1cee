"""The registry's side of the stage package: champions of comparisons that follow each other, in a real store."""

import fcntl
import shutil

import pytest

from skygen import tracking
from skygen.selection import promotion
from tests.tracking.project import PARAMS

pytestmark = pytest.mark.usefixtures("registry")


def champion(registry):
    """The recipe that has the alias, and the tags of its version that tell of its challenge."""
    version = registry.get_model_version_by_alias("skygen-r64", "champion")
    return version.tags["recipe"], challenge_of(version)


def challenge_of(version):
    return {name[10:]: value for name, value in version.tags.items() if name.startswith("challenge.")}


def test_the_first_champion_gets_the_alias(packaged, registry):
    said = packaged("perfect")

    assert said.endswith("skygen-r64@champion: perfect, seed 0 is the first champion (version 1)")
    tags = {"decision": "perfect, seed 0 is the first champion", "standing_version": "none"}
    assert champion(registry) == ("perfect", tags)


def test_the_same_champion_again_changes_nothing(packaged, registry):
    packaged("perfect")
    before = champion(registry)
    said = packaged("perfect")

    assert said.endswith("perfect, seed 0 stands already; nothing changes")
    assert champion(registry) == before
    assert len(registry.search_model_versions("name = 'skygen-r64'")) == 1


def test_one_as_good_is_registered_and_does_not_replace(packaged, registry):
    packaged("perfect")
    said = packaged("dealt")
    tags = challenge_of(registry.get_model_version("skygen-r64", "2"))

    assert "dealt, seed 0 does not replace version 1 (perfect, seed 0): kernel " in said
    assert champion(registry)[0] == "perfect"
    assert tags["decision"] in said
    assert tags["standing_version"] == "1"
    assert {"encoder", "data", "kernel", "standing_kernel", "difference", "interval"} <= set(tags)


def test_a_better_one_replaces_and_a_worse_one_does_not_come_back(packaged, registry):
    packaged("bright")
    assert "perfect, seed 0 replaces version 1 (bright, seed 0): kernel " in packaged("perfect")
    assert champion(registry)[0] == "perfect"
    assert "bright, seed 0 does not replace version 2 (perfect, seed 0): kernel " in packaged("bright")
    assert champion(registry)[0] == "perfect"
    assert len(registry.search_model_versions("name = 'skygen-r64'")) == 2


def test_a_collapsed_one_is_registered_and_replaces_nobody(packaged, registry):
    packaged("bright")
    said = packaged("flat")

    assert "flat, seed 0 does not replace version 1 (bright, seed 0), for it collapsed" in said
    assert champion(registry)[0] == "bright"
    assert "collapsed" in challenge_of(registry.get_model_version("skygen-r64", "2"))["decision"]


def test_a_collapsed_one_that_came_first_gives_way(packaged, registry):
    assert "flat, seed 0 is the first champion, though it collapsed" in packaged("flat")
    assert "replaces version 1 (flat, seed 0), which today collapsed" in packaged("bright")
    assert champion(registry)[0] == "bright"


@pytest.mark.parametrize("lost", [True, False])
def test_a_standing_one_that_is_damaged_gives_way_to_another_and_to_itself(lost, packaged, registry, project):
    packaged("perfect")
    source = registry.get_model_version("skygen-r64", "1").source.removeprefix("models:/")
    (kept,) = project.glob(f"ml*/**/{source}/artifacts")
    shutil.rmtree(kept) if lost else next(kept.rglob("card.json")).write_text("{}")
    why = "its files are lost" if lost else "its files are not those that were registered"

    assert f"perfect, seed 0 stands already and is registered anew: {why} (version 2)" in packaged("perfect")
    assert champion(registry)[0] == "perfect"
    assert "perfect, seed 0 stands already; nothing changes" in packaged("perfect")
    registry.set_registered_model_alias("skygen-r64", "champion", "1")
    assert f"bright, seed 0 replaces version 1 (perfect, seed 0), which cannot be loaded: {why}" in packaged("bright")
    assert champion(registry)[0] == "bright"


@pytest.mark.parametrize("step", ["standing_champion", "register", "promote"])
def test_a_run_that_is_killed_half_way_leaves_the_alias_and_can_be_run_again(step, packaged, registry, monkeypatch):
    packaged("bright")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tracking, step, interrupt)
        packaged("perfect")
    assert champion(registry)[0] == "bright"

    assert "perfect, seed 0 replaces version 1 (bright, seed 0): kernel " in packaged("perfect")
    assert champion(registry)[0] == "perfect"


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_store_that_does_not_answer_fails_the_stage_in_a_sentence(
    packaged, registry, monkeypatch, nobody, little_patience
):
    packaged("bright")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        packaged("perfect")

    assert str(stopped.value).startswith("skygen-r64@champion stays as it was: the registry at http://127.0.0.1")
    assert champion(registry)[0] == "bright"


def test_a_champion_whose_files_are_out_of_reach_is_not_replaced_and_the_stage_fails(packaged, registry, project):
    packaged("bright")
    (project / "mlartifacts").rename(project / "mlartifacts-away")
    try:
        with pytest.raises(SystemExit, match=r"stays as it was: the files of version 1 of .* lie in "):
            packaged("perfect")
    finally:
        shutil.rmtree(project / "mlartifacts", ignore_errors=True)
        (project / "mlartifacts-away").rename(project / "mlartifacts")

    assert champion(registry)[0] == "bright"
    assert "perfect, seed 0 replaces version 1" in packaged("perfect")


def test_a_second_stage_at_the_same_time_is_told_and_changes_nothing(packaged, registry, project):
    packaged("bright")
    with (project / "mlflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match=r"a comparison of champions .*: another run"):
            packaged("perfect")

    assert champion(registry)[0] == "bright"


def test_a_comparison_made_with_another_encoder_is_refused(project):
    with pytest.raises(ValueError, match=r"made with the encoder blind, that of r64 is now .*; run dvc repro"):
        promotion.validation_of("r64", PARAMS, "blind")
