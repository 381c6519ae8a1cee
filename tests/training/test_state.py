import pytest
import torch

from skygen.training.state import Checkpoint, configuration_hash, new_state, restore_state, save_state
from skygen.training.step import update_discriminator, update_generator

CPU = torch.device("cpu")


def after_steps(recipe, seed=0, steps=2):
    state, rng = new_state(recipe, 64, 1, 2, seed, CPU), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        real = torch.rand(4, 1, 64, 64, generator=rng)
        update_discriminator(state.players, recipe, real, 0.0, rng)
        update_generator(state.players, recipe, len(real), 0.0, rng)
    state.iteration, state.images_seen = steps, 4 * steps
    return state


def content(state):
    """Everything that a state holds, flat."""
    found = {}
    for name, part in vars(state.players).items():
        found |= flat(part.state_dict(), name)
    found |= flat(state.ema_generator.state_dict(), "ema_generator")
    rest = {key: value for key, value in vars(state).items() if key not in ("players", "ema_generator")}
    return found | flat(rest, "state")


def flat(value, name):
    if isinstance(value, Checkpoint):
        value = vars(value)
    if isinstance(value, dict):
        return {key: part for inner, item in value.items() for key, part in flat(item, f"{name}.{inner}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value.clone() if isinstance(value, torch.Tensor) else value}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
        for name in one
    )


def test_a_state_comes_back_from_disk_bit_for_bit(tmp_path, recipes):
    averaged = recipes["gan"].model_copy(update={"ema_decay": 0.9})
    state = after_steps(averaged)
    state.history = [{"images_seen": 4.0, "validation_score": 2.5}]
    weights = {name: weight.clone() for name, weight in state.players.generator.state_dict().items()}
    state.best = Checkpoint(weights, {}, 1, 4, {"validation_score": 2.5})
    save_state(tmp_path / "new" / "state.pt", state)
    restored = new_state(averaged, 64, 1, 2, 99, CPU)
    assert not same(content(restored), content(state))

    restore_state(tmp_path / "new" / "state.pt", restored)
    assert same(content(restored), content(state))
    assert len(content(state)) > 100


def test_a_state_without_a_best_checkpoint_comes_back(tmp_path, recipes):
    state = after_steps(recipes["gan"])
    save_state(tmp_path / "state.pt", state)
    restored = new_state(recipes["gan"], 64, 1, 2, 0, CPU)
    restore_state(tmp_path / "state.pt", restored)

    assert restored.best is None
    assert (restored.iteration, restored.images_seen) == (2, 8)


def test_the_first_weights_depend_on_recipe_and_seed(recipes):
    def first(recipe, seed):
        return content(new_state(recipe, 64, 1, 2, seed, CPU))

    gan, improved = recipes["gan"], recipes["improved"]
    assert same(first(gan, 1), first(gan, 1))
    assert not same(first(gan, 1), first(gan, 2))
    assert not same(first(gan, 1), first(improved, 1))


def test_optimisers_are_the_recipe_s(recipes):
    recipe = recipes["gan"].model_copy(update={"generator_lr": 3e-4, "discriminator_lr": 1e-4, "beta1": 0.1})
    players = new_state(recipe, 64, 1, 2, 0, CPU).players

    assert players.generator_optimiser.defaults["lr"] == 3e-4
    assert players.discriminator_optimiser.defaults["lr"] == 1e-4
    assert players.discriminator_optimiser.defaults["betas"] == (0.1, 0.999)


def test_a_missing_state_is_missing(tmp_path, recipes):
    with pytest.raises(FileNotFoundError, match=r"state\.pt"):
        restore_state(tmp_path / "state.pt", new_state(recipes["gan"], 64, 1, 2, 0, CPU))


def test_a_configuration_s_name_changes_with_any_part_and_not_with_the_order_of_keys():
    names = [
        configuration_hash("r64", {"clip": 0.01, "beta1": 0.5}, 0),
        configuration_hash("r64", {"beta1": 0.5, "clip": 0.01}, 0),
        configuration_hash("r64", {"clip": 0.02, "beta1": 0.5}, 0),
        configuration_hash("r64", {"clip": 0.01, "beta1": 0.5}, 1),
        configuration_hash("gri128", {"clip": 0.01, "beta1": 0.5}, 0),
    ]

    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert all(len(name) == 16 for name in names)


def test_without_averaging_the_generator_that_plays_is_the_one_that_is_kept(recipes):
    plain, averaged = recipes["gan"], recipes["gan"].model_copy(update={"ema_decay": 0.9})
    state, other = new_state(plain, 64, 1, 2, 0, CPU), new_state(averaged, 64, 1, 2, 0, CPU)

    assert state.ema_generator is state.players.generator
    assert other.ema_generator is not other.players.generator
    assert same(flat(other.ema_generator.state_dict(), ""), flat(other.players.generator.state_dict(), ""))
