import pytest
import torch

from skygen.gan.losses import discriminator_loss
from skygen.training.state import new_state
from skygen.training.step import average_weights, update_discriminator, update_generator

CPU = torch.device("cpu")


@pytest.fixture(params=["gan", "improved"])
def recipe(recipes, request):
    return recipes[request.param]


def players(recipe, seed=0):
    return new_state(recipe, 64, 1, 2, seed, CPU).players


def real(count=6):
    return torch.randn(count, 1, 64, 64, generator=torch.Generator().manual_seed(7)).clamp(-1, 1)


def rng(seed=1):
    return torch.Generator().manual_seed(seed)


def weights(network):
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def moved(network, before):
    return {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}


def test_the_discriminator_s_step_moves_all_its_weights_and_none_of_the_generator_s(recipe):
    pair = players(recipe)
    generator, discriminator = weights(pair.generator), weights(pair.discriminator)
    update_discriminator(pair, recipe, real(), 0.0, rng())

    assert moved(pair.generator, generator) == set()
    assert moved(pair.discriminator, discriminator) >= set(discriminator) - {"last.bias"}  # Wasserstein's may cancel
    assert all(weight.grad is None for weight in pair.generator.parameters())


def test_the_generator_s_step_moves_all_its_weights_and_none_of_the_discriminator_s(recipe):
    pair = players(recipe)
    generator, discriminator = weights(pair.generator), weights(pair.discriminator)
    update_generator(pair, recipe, 6, 0.0, rng())

    assert moved(pair.discriminator, discriminator) == set()
    assert moved(pair.generator, generator) == set(generator)
    assert all(weight.grad is None and weight.requires_grad for weight in pair.discriminator.parameters())


def test_a_step_depends_on_its_weights_its_tiles_and_its_generator_alone(recipe):
    def step(seed):
        pair = players(recipe)
        losses = (
            update_discriminator(pair, recipe, real(), 0.0, rng(seed)),
            update_generator(pair, recipe, 6, 0.0, rng(seed)),
        )
        return [float(loss) for loss in losses], weights(pair.generator)

    losses, first = step(1)
    again, second = step(1)
    others, _ = step(2)

    assert losses == again != others
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_is_that_of_the_weights_before_the_step(recipe):
    before, pair = players(recipe), players(recipe)
    fake = before.generator(torch.randn(6, recipe.latent_size, generator=rng()))
    expected = discriminator_loss(recipe, before.discriminator(real(), 0.0), before.discriminator(fake, 0.0))
    loss = update_discriminator(pair, recipe, real(), 0.0, rng())

    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert not loss.requires_grad


def test_steps_lower_the_loss_of_the_one_that_makes_them(recipe):
    unclipped = recipe.model_copy(update={"clip": None})
    pair = players(unclipped)
    of_discriminator = [float(update_discriminator(pair, unclipped, real(), 0.0, rng())) for _ in range(15)]
    of_generator = [float(update_generator(pair, unclipped, 6, 0.0, rng())) for _ in range(15)]

    assert of_discriminator[-1] < of_discriminator[0] - 0.01
    assert of_generator[-1] < of_generator[0] - 0.01


@pytest.mark.parametrize("clip_norm", [False, True])
def test_a_clipped_critic_stays_within_its_bound(recipes, clip_norm):
    recipe = recipes["improved"].model_copy(update={"clip": 0.005, "clip_norm": clip_norm})
    pair = players(recipe)
    update_discriminator(pair, recipe, real(), 0.5, rng())
    clipped = {
        name: float(weight.detach().abs().max())
        for name, weight in pair.discriminator.named_parameters()
        if clip_norm or not name.startswith("norms")
    }

    assert max(clipped.values()) == pytest.approx(0.005)
    assert float(pair.discriminator.norms[0].weight.detach().max()) == pytest.approx(
        0.005 if clip_norm else 1, rel=1e-2
    )
    assert max(float(weight.detach().abs().max()) for weight in pair.generator.parameters()) > 0.005


def test_the_original_s_discriminator_is_not_clipped(recipes):
    pair = players(recipes["gan"])
    update_discriminator(pair, recipes["gan"], real(), 0.0, rng())

    assert float(pair.discriminator.last.weight.detach().abs().max()) > 0.02


def test_dropout_changes_the_discriminator_s_step(recipe):
    def loss(rate):
        torch.manual_seed(0)
        return float(update_discriminator(players(recipe), recipe, real(), rate, rng()))

    assert loss(0.0) != loss(0.5) == loss(0.5)


def test_an_average_has_moved_half_way_after_its_half_life(recipe):
    average, target = players(recipe, 0).generator, players(recipe, 1).generator
    first, last = weights(average), weights(target)
    for _ in range(10):
        average_weights(average, target, 0.5 ** (1 / 10))

    for name, weight in weights(average).items():
        torch.testing.assert_close(weight, (first[name] + last[name]) / 2)


def test_an_average_takes_the_running_statistics_along_and_leaves_its_target(recipe):
    average, target = players(recipe, 0).generator, players(recipe, 1).generator
    target(torch.randn(8, recipe.latent_size))
    before = {name: value.clone() for name, value in target.state_dict().items()}
    average_weights(average, target, 0.75)

    norm, moved = average.layers[1], target.layers[1]
    torch.testing.assert_close(norm.running_mean, 0.25 * moved.running_mean)
    assert norm.num_batches_tracked == 1
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
