import math

import pytest
import torch

from skygen.training.batches import Batches, iteration_rng
from skygen.training.state import (
    Checkpoint,
    configuration_hash,
    configuration_of,
    new_state,
    not_finite,
    restore_state,
    save_state,
    set_steps,
    weights_of,
)
from skygen.training.step import average_weights, update_discriminator, update_generator
from tests.training.tiny import CPU, content, flat, same, scale

HERE = {"recipe": {"loss": "wasserstein", "clip": 0.01}, "seed": 0}


@pytest.fixture
def after_steps(noise_store):
    """A function: the state of a recipe after two iterations of training, with a history and a best checkpoint."""

    def make(recipe, seed=0):
        state = new_state(recipe, noise_store.card, 2, seed, CPU)
        batches = Batches(recipe, noise_store, state.players, 4, CPU)
        for _ in range(2):
            rng = iteration_rng(seed, state.images_seen)
            update_discriminator(state.players, recipe, batches.draw(rng, real=True), 0.0)
            update_generator(state.players, recipe, batches.draw(rng, real=recipe.needs_real_tiles), 0.0)
            if recipe.ema_half_life:
                average_weights(state.ema_generator, state.players.generator, 0.5)
            state.iteration, state.images_seen = state.iteration + 1, state.images_seen + 4
        state.history = [{"images_seen": 4.0, "validation_score": 2.5}]
        networks = weights_of(state.players.generator), weights_of(state.players.discriminator)
        state.best = Checkpoint(*networks, 1, 4, {"validation_score": 2.5})
        return state

    return make


@pytest.mark.parametrize("name", ["gan", "improved", "scene"])
def test_a_state_comes_back_from_disk_bit_for_bit(tmp_path, recipes, noise_store, after_steps, name):
    state = after_steps(recipes[name])
    save_state(tmp_path / "new" / "state.pt", state, HERE)
    restored = new_state(recipes[name], noise_store.card, 2, 99, CPU)
    assert not same(content(restored), content(state))

    assert restore_state(tmp_path / "new" / "state.pt", restored, HERE)
    assert same(content(restored), content(state))
    kinds = {key.split(".")[0] for key in content(state)}
    players = {"generator", "discriminator", "generator_optimiser", "discriminator_optimiser"}
    steered = {"steering"} if name == "scene" else set()
    assert kinds == {*players, *steered, "ema_generator", "state"}


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam", "adamax", "adagrad"])
def test_every_optimiser_comes_back(tmp_path, recipes, noise_store, after_steps, optimiser):
    recipe = recipes["gan"].model_copy(update={"optimiser": optimiser})
    state = after_steps(recipe)
    save_state(tmp_path / "state.pt", state, HERE)
    restored = new_state(recipe, noise_store.card, 2, 99, CPU)
    restore_state(tmp_path / "state.pt", restored, HERE)

    assert same(content(restored), content(state))


def test_a_state_without_a_best_checkpoint_comes_back(tmp_path, recipes, noise_store):
    state = new_state(recipes["gan"], noise_store.card, 2, 0, CPU)
    state.iteration, state.images_seen = 2, 8
    save_state(tmp_path / "state.pt", state, HERE)
    restored = new_state(recipes["gan"], noise_store.card, 2, 0, CPU)
    restore_state(tmp_path / "state.pt", restored, HERE)

    assert restored.best is None
    assert (restored.iteration, restored.images_seen) == (2, 8)


def test_where_nothing_is_kept_nothing_is_restored(tmp_path, recipes, noise_store):
    state = new_state(recipes["gan"], noise_store.card, 2, 0, CPU)
    before = content(state)

    assert not restore_state(tmp_path / "state.pt", state, HERE)
    assert same(content(state), before)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({**HERE, "seed": 1}, r"seed 0 \(now 1\)"),
        ({**HERE, "recipe": {"loss": "wasserstein", "clip": 0.02}}, r"recipe\.clip 0\.01 \(now 0\.02\)"),
        (
            {"recipe": {"loss": "relativistic"}, "seed": 0},
            r"recipe\.clip 0\.01 \(now missing\), recipe\.loss wasserstein \(now relativistic\)",
        ),
        ({**HERE, "width": None}, r"width missing \(now None\)"),
    ],
)
def test_a_state_of_another_configuration_is_refused_and_what_differs_is_named(
    tmp_path, recipes, noise_store, after_steps, other, said
):
    save_state(tmp_path / "state.pt", after_steps(recipes["gan"]), HERE)
    state = new_state(recipes["gan"], noise_store.card, 2, 0, CPU)
    before = content(state)

    with pytest.raises(ValueError, match=rf"state\.pt is the state of another training: {said}; remove it"):
        restore_state(tmp_path / "state.pt", state, other)
    assert same(content(state), before)


def test_a_configuration_is_all_that_decides_a_training(recipes, noise_store, write_store, tmp_path):
    card, recipe, device = noise_store.card, recipes["scene"], CPU
    tiles = {split: 2 * noise_store.split(split).array() for split in ("train", "validation", "test")}
    brighter = write_store(tmp_path / "brighter" / "r64", tiles).card
    slower = recipe.model_copy(update={"generator_lr": 1e-5})
    configurations = [
        configuration_of(recipe, scale(), card, 0, device),
        configuration_of(slower, scale(), card, 0, device),
        configuration_of(recipe, scale(iterations=5), card, 0, device),
        configuration_of(recipe, scale(), brighter, 0, device),
        configuration_of(recipe, scale(), card, 1, device),
        configuration_of(recipe, scale(), card, 0, torch.device("cuda")),
    ]

    assert configuration_of(recipe, scale(), card, 0, device) == configurations[0]
    assert len({configuration_hash(configuration) for configuration in configurations}) == 6


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_found_wherever_it_is(recipes, after_steps, value):
    state = after_steps(recipes["scene"])
    assert not_finite(state) is None
    moments = state.players.discriminator_optimiser.state_dict()["state"]
    holders = {
        "generator.marks.stars.0.weight": state.players.generator.marks.stars[0].weight,
        "discriminator.stamps.last.bias": state.players.discriminator.stamps.last.bias,
        "ema_generator.background_nmgy": state.ema_generator.background_nmgy,
        "steering.counts": state.players.steering.counts,
        "discriminator_optimiser.state.1.exp_avg_sq": moments[1]["exp_avg_sq"],
    }

    for name, tensor in holders.items():
        with torch.no_grad():
            kept = tensor.clone()
            tensor.flatten()[-1] = value
            assert not_finite(state) == name
            tensor.copy_(kept)
    assert not_finite(state) is None


def test_a_copy_of_weights_does_not_follow_the_network(recipes, noise_store):
    generator = new_state(recipes["gan"], noise_store.card, 2, 0, CPU).players.generator
    kept, before = weights_of(generator), flat(weights_of(generator))
    with torch.no_grad():
        for weight in generator.parameters():
            weight.add_(1)

    assert same(flat(kept), before)
    assert not same(flat(weights_of(generator)), before)


def test_the_first_weights_depend_on_recipe_and_seed(recipes, noise_store):
    def first(recipe, seed):
        return content(new_state(recipe, noise_store.card, 2, seed, CPU))

    gan, improved = recipes["gan"], recipes["improved"]
    assert same(first(gan, 1), first(gan, 1))
    assert not same(first(gan, 1), first(gan, 2))
    assert not same(first(gan, 1), first(improved, 1))


def test_optimisers_are_the_recipe_s(recipes, noise_store):
    recipe = recipes["gan"].model_copy(update={"generator_lr": 3e-4, "discriminator_lr": 1e-4, "beta1": 0.1})
    players = new_state(recipe, noise_store.card, 2, 0, CPU).players

    assert players.generator_optimiser.defaults["lr"] == 3e-4
    assert players.discriminator_optimiser.defaults["lr"] == 1e-4
    assert players.discriminator_optimiser.defaults["betas"] == (0.1, 0.999)


def test_steps_fall_geometrically_to_the_share_that_the_recipe_leaves(recipes, noise_store):
    recipe = recipes["scene"].model_copy(update={"generator_lr": 4e-4, "discriminator_lr": 1e-3, "lr_decay": 0.01})
    players = new_state(recipe, noise_store.card, 2, 0, CPU).players
    found = []
    for progress in (0.0, 0.5, 1.0):
        set_steps(players, recipe, progress)
        found.append(
            [of.param_groups[0]["lr"] for of in (players.generator_optimiser, players.discriminator_optimiser)]
        )

    assert found == [pytest.approx(both) for both in ([4e-4, 1e-3], [4e-5, 1e-4], [4e-6, 1e-5])]


def test_without_averaging_the_generator_that_plays_is_the_one_that_is_kept(recipes, noise_store):
    plain, averaged = recipes["gan"], recipes["scene"]
    state, other = (new_state(recipe, noise_store.card, 2, 0, CPU) for recipe in (plain, averaged))

    assert state.ema_generator is state.players.generator
    assert other.ema_generator is not other.players.generator
    assert same(flat(weights_of(other.ema_generator)), flat(weights_of(other.players.generator)))
