import math

import pytest
import torch

from skygen.sky.conditions import Density
from skygen.training import loop
from skygen.training.loop import TrainingError
from skygen.training.state import new_state
from tests.training.tiny import KilledError, Killer, Recorder, scale, scored


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_stops_the_training_and_names_what_is_left(
    run, recipes, monkeypatch, tmp_path, player, value
):
    save = loop.save_state

    def poison_afterwards(path, state, configuration):
        save(path, state, configuration)
        with torch.no_grad():
            next(getattr(state.players, player).parameters()).fill_(value)

    monkeypatch.setattr(loop, "save_state", poison_afterwards)
    log = Recorder()
    with pytest.raises(TrainingError, match=r"not finite: .*\. Checkpoints: the best, of iteration 3, is in") as caught:
        run(recipes["gan"], scale(5, 2), log=log)

    assert str(tmp_path / "state.pt") in str(caught.value)
    assert [name for name, _ in log.tags] == ["not_finite"]
    assert log.tags[0][1] in str(caught.value)
    assert len(log.measured) == 1
    monkeypatch.undo()
    with pytest.raises(KilledError):  # what is kept is sound, and goes on
        run(recipes["gan"], scale(5, 2), log=Killer(at=1))


def test_a_loss_that_is_not_finite_names_its_iteration_when_it_is_looked_at(run, recipes, made, monkeypatch):
    seen, update = [], loop.update_generator

    def spoiled(*arguments):
        seen.append(update(*arguments))
        return seen[-1] * (math.nan if len(seen) == 3 else 1)

    monkeypatch.setattr(loop, "update_generator", spoiled)
    with pytest.raises(TrainingError, match=r"losses of iteration 3: discriminator \d.*, generator nan"):
        run(recipes["gan"], scale(8, 1))
    assert made[0].iteration == 8  # no look, no waiting before

    seen.clear()
    monkeypatch.setattr(loop, "LOOK_EVERY", 2)
    with pytest.raises(TrainingError, match="losses of iteration 3"):
        run(recipes["gan"], scale(8, 1))
    assert made[1].iteration == 4


def test_what_is_not_finite_at_once_leaves_no_checkpoint(run, recipes, monkeypatch, tmp_path):
    def spoiled(*arguments):
        state = new_state(*arguments)
        torch.nn.init.constant_(state.players.discriminator.last.weight, math.inf)
        return state

    monkeypatch.setattr(loop, "new_state", spoiled)
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with pytest.raises(TrainingError, match=r"after iteration 1\. Checkpoints: none was measured yet"):
        run(recipes["gan"])
    assert not list(tmp_path.glob("state*"))


@pytest.fixture
def collapsed(recipes, noise_store):
    """A function: a recipe under which a training shows one tile, or scene, and cannot move from it.

    A painter's weights are next to nothing; a process's validation field is so empty that no scene has an object.
    """

    def plant(name, on_trouble):
        changes = {"on_trouble": on_trouble, "generator_lr": 1e-12, "ema_half_life": None}
        if name == "scene":
            noise_store.card.densities["94-1-1"] = Density(stars=1e-9, galaxies=1e-9)
        else:
            changes |= {
                "init_std": 1e-3,
                "generator_norm": "none",
                "discriminator_norm": "none",
            }  # batch norm would blow tiny weights up
        return recipes[name].model_copy(update=changes)

    return plant


@pytest.mark.parametrize("name", ["gan", "scene"])
def test_a_planted_collapse_is_found_reported_once_and_kept_in_the_history(run, collapsed, name):
    state, log = run(collapsed(name, "warn"), scale(5, 5))

    assert [row["collapsed"] for row in state.history] == [0, 0, 1, 1, 1]
    assert [tag for tag, _ in log.tags if tag == "collapsed"] == ["collapsed"]
    assert [values["collapsed"] for _, values in log.measured] == [0, 0, 1, 1, 1]


def test_fresh_noise_hides_a_collapse_from_all_but_clean_scenes(run, collapsed):
    state, log = run(collapsed("scene", "warn"), scale(3, 3))

    assert min(row["validation_diversity"] for row in state.history) > 0.3
    assert max(row["validation_scene_diversity"] for row in state.history) < 0.01
    assert log.tags[0][1].startswith("validation_scene_diversity is below 0.1")


def test_a_collapse_stops_a_training_whose_recipe_says_so_again_and_again(run, collapsed, made):
    recipe = collapsed("scene", "stop")
    with pytest.raises(TrainingError, match=r"^collapsed: validation_scene_diversity is below 0\.1: .* Checkpoints: "):
        run(recipe, scale(5, 5))
    assert made[0].iteration == 3
    with pytest.raises(TrainingError, match="collapsed"):
        run(recipe, scale(5, 5))
    assert made[1].iteration == 3  # the same command resumes it, and it stays where it was stopped


def test_a_divergence_is_reported_once(run, recipes, monkeypatch):
    scored(monkeypatch, [1.0, 6.0, 7.0, 8.0, 9.0, 2.0])
    state, log = run(recipes["gan"].model_copy(update={"on_trouble": "warn"}), scale(6, 6))

    assert [row["diverged"] for row in state.history] == [0, 0, 0, 1, 1, 0]
    assert log.tags == [("diverged", "validation_score is above 5 times its best, 1: 6, 7, 8 after 8 to 16 images")]
    assert state.best.iteration == 1


def test_trouble_reported_before_a_resume_is_not_reported_again(run, collapsed):
    recipe = collapsed("scene", "warn")
    with pytest.raises(KilledError):
        run(recipe, scale(5, 5), log=Killer(at=5))
    state, log = run(recipe, scale(5, 5))

    assert state.history[-1]["collapsed"] == 1
    assert log.tags == []
