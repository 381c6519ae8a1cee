import pytest
import torch
from torch import nn

from skygen.gan.losses import discriminator_loss
from skygen.gan.networks import Judge
from skygen.training.batches import Batches
from skygen.training.state import make_optimiser, new_state
from skygen.training.step import Players, average_weights, ema_decay, update_discriminator, update_generator

CPU = torch.device("cpu")


@pytest.fixture(params=["gan", "improved", "scene", "relativistic"])
def recipe(recipes, relativistic, request):
    return recipes.get(request.param) or relativistic


@pytest.fixture(params=["gan", "improved", "relativistic"])
def painter(recipes, relativistic, request):
    """A recipe of a convolutional generator."""
    return recipes.get(request.param) or relativistic


@pytest.fixture
def players(noise_store):
    """A function: the players of a recipe, with weights drawn from a seed."""
    return lambda recipe, seed=0: new_state(recipe, noise_store.card, 2, seed, CPU).players


@pytest.fixture
def draws(noise_store, players):
    """A function: the draws of an update of either network, real tiles among them."""

    def draw(recipe, seed=1):
        batches = Batches(recipe, noise_store, players(recipe), 6, CPU)
        return batches.draw(torch.Generator().manual_seed(seed), real=True)

    return draw


class Linear(nn.Module):
    """A discriminator whose logit is a weighted sum of the pixels: all its slopes are its weights."""

    def __init__(self):
        super().__init__()
        self.judges = (Judge(self.forward),)
        self.weights = nn.Parameter(torch.randn(3 * 64 * 64, generator=torch.Generator().manual_seed(3)) / 50)

    def forward(self, images, dropout):
        return images.flatten(1) @ self.weights


def weights(network):
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def moved(network, before):
    return {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}


def all_that_tells(pair):
    """The discriminator's weights but those that add the same to all logits, which cancels in differences."""
    return {name for name, _ in pair.discriminator.named_parameters() if not name.endswith("last.bias")}


def test_the_discriminator_s_step_moves_all_its_weights_and_none_of_the_generator_s(recipe, players, draws):
    pair = players(recipe)
    generator, discriminator = weights(pair.generator), weights(pair.discriminator)
    update_discriminator(pair, recipe, draws(recipe), 0.0)

    assert moved(pair.generator, generator) == set()
    assert moved(pair.discriminator, discriminator) >= all_that_tells(pair)
    assert all(weight.grad is None for weight in pair.generator.parameters())


def test_the_generator_s_step_moves_all_its_weights_and_none_of_the_discriminator_s(recipe, players, draws):
    pair = players(recipe)
    generator, discriminator = weights(pair.generator), weights(pair.discriminator)
    update_generator(pair, recipe, draws(recipe), 0.0)

    assert moved(pair.discriminator, discriminator) == set()
    assert moved(pair.generator, generator) == set(generator)
    assert all(weight.grad is None and weight.requires_grad for weight in pair.discriminator.parameters())


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam", "adamax", "adagrad"])
def test_every_optimiser_moves_both_networks(recipes, players, draws, optimiser):
    recipe = recipes["scene"].model_copy(update={"optimiser": optimiser})
    pair = players(recipe)
    generator, discriminator = weights(pair.generator), weights(pair.discriminator)
    update_discriminator(pair, recipe, draws(recipe), 0.0)
    update_generator(pair, recipe, draws(recipe), 0.0)

    assert moved(pair.discriminator, discriminator) >= all_that_tells(pair)
    assert moved(pair.generator, generator) == set(generator)


def test_a_step_depends_on_its_weights_and_its_draws_alone(recipe, players, draws):
    def step(seed, disturbance):
        pair = players(recipe)
        torch.manual_seed(disturbance)
        losses = [update(pair, recipe, draws(recipe, seed), 0.0) for update in (update_discriminator, update_generator)]
        return [float(loss) for loss in losses], weights(pair.generator)

    losses, first = step(1, disturbance=5)
    again, second = step(1, disturbance=6)
    others, _ = step(2, disturbance=5)

    assert losses == again != others
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_is_that_of_the_weights_before_the_step_without_the_penalty(painter, players, draws):
    recipe = painter
    before, pair, given = players(recipe), players(recipe), draws(recipe)
    fake = before.camera.stretched(before.generator(given.latents), given.sky)
    expected = discriminator_loss(recipe, before.discriminator(given.real, 0.0), before.discriminator(fake, 0.0))
    loss = update_discriminator(pair, recipe, given, 0.0)

    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert not loss.requires_grad


def test_steps_lower_the_loss_of_the_one_that_makes_them(recipe, players, draws):
    unclipped = recipe.model_copy(update={"clip": None})
    pair, given = players(unclipped), draws(unclipped)
    of_discriminator = [float(update_discriminator(pair, unclipped, given, 0.0)) for _ in range(15)]
    of_generator = [float(update_generator(pair, unclipped, given, 0.0)) for _ in range(15)]

    assert of_discriminator[-1] < of_discriminator[0] - 0.01
    assert of_generator[-1] < of_generator[0] - 0.01


@pytest.mark.parametrize("penalty", ["r1_r2", "gradient_penalty"])
def test_the_penalty_moves_a_linear_discriminator_as_its_closed_form_says(relativistic, players, draws, penalty):
    """R1 + R2 are ‖w‖² times the weight, the gradient penalty (‖w‖ - 1)²: a step of SGD adds their gradients."""
    plain_sgd = relativistic.model_copy(update={"optimiser": "sgd", "beta1": 0.0})

    def step(recipe):
        pair, linear = players(recipe), Linear()
        optimiser = make_optimiser(recipe, linear.parameters(), 1.0)
        given = draws(recipe)
        update_discriminator(Players(pair.generator, linear, None, optimiser, pair.camera), recipe, given, 0.0)
        return linear.weights.detach()

    plain = step(plain_sgd.model_copy(update={"penalty": "none", "penalty_weight": None}))
    penalised = step(plain_sgd.model_copy(update={"penalty": penalty, "penalty_weight": 3.0}))
    w = Linear().weights.detach()
    expected = 3.0 * 2 * (w if penalty == "r1_r2" else w - w / w.norm())

    torch.testing.assert_close(plain - penalised, expected, atol=1e-5, rtol=1e-4)


def test_scenes_are_judged_with_their_noise(recipes, players, draws):
    recipe = recipes["scene"]
    pair, given = players(recipe), draws(recipe)
    seen = []
    pair.discriminator.patches.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    update_discriminator(pair, recipe, given, 0.0)
    with torch.no_grad():
        scenes = players(recipe).generator(given.latents)
    expected = pair.camera.stretched(scenes, given.sky)

    assert [tuple(images.shape) for images in seen] == [(6, 3, 64, 64)] * 2
    torch.testing.assert_close(seen[1], pair.discriminator.judges[0].look(expected), atol=1e-5, rtol=0)
    noise = (pair.camera.stretch.unstretch(expected) - scenes).flatten(2)
    spread = noise.quantile(0.5, -1) - noise.quantile(0.1587, -1)
    torch.testing.assert_close(spread, given.sky.conditions.sky_noise_nmgy, atol=0, rtol=0.15)


def test_two_networks_have_a_loss_and_a_penalty_each(recipes, players, draws):
    recipe = recipes["scene"]
    pair, given = players(recipe), draws(recipe)
    fake = pair.camera.stretched(pair.generator(given.latents), given.sky)
    expected = 0.0
    for judge in pair.discriminator.judges:
        real, generated = (judge.network(judge.look(tiles), 0.0) for tiles in (given.real, fake))
        pairs = real[:, None], generated[None]
        expected += float(discriminator_loss(recipe, *(pairs if judge.most_a_tile else (real, generated))).detach())

    assert float(update_discriminator(pair, recipe, given, 0.0)) == pytest.approx(expected, rel=1e-5)
    for key, weights_of in (("penalty_weight", "patches"), ("stamp_penalty_weight", "stamps")):
        one, other = players(recipe), players(recipe)
        update_discriminator(one, recipe.model_copy(update={"optimiser": "sgd"}), given, 0.0)
        update_discriminator(other, recipe.model_copy(update={key: 50.0}), given, 0.0)
        differ = {name.split(".")[0] for name in moved(one.discriminator, weights(other.discriminator))}
        assert differ == {weights_of}


def test_tiles_without_a_peak_are_no_trouble(recipes, players, draws):
    recipe = recipes["scene"]
    pair, given = players(recipe), draws(recipe)
    given = given._replace(real=torch.zeros_like(given.real))
    losses = [update(pair, recipe, given, 0.0) for update in (update_discriminator, update_generator)]

    assert len(pair.discriminator.judges[1].look(given.real)) == 0
    assert all(torch.isfinite(loss) for loss in losses)
    assert all(weight.isfinite().all() for weight in pair.discriminator.state_dict().values())


@pytest.mark.parametrize("seen", [(), ("stars",), ("galaxies",)])
def test_scenes_without_objects_give_every_weight_a_gradient(recipes, players, draws, seen):
    """A team averages the gradients of all weights: one process without some of them would be out of step."""
    recipe = recipes["scene"]
    pair, given = players(recipe), draws(recipe)
    empty = {name: getattr(given.latents, name).of_tiles(slice(0, 0)) for name in {"stars", "galaxies"} - {*seen}}
    before, pair.steering = weights(pair.generator), None  # steering moves the law by peaks of noise too
    loss = update_generator(pair, recipe, given._replace(latents=given.latents._replace(**empty)), 0.0)

    gradients = {name: weight.grad for name, weight in pair.generator.named_parameters()}
    assert torch.isfinite(loss)
    assert all(gradient is not None for gradient in gradients.values())
    assert bool(moved(pair.generator, before)) == any(bool(gradient.any()) for gradient in gradients.values())
    assert bool(moved(pair.generator, before)) == bool(seen)
    assert all(weight.requires_grad for weight in pair.discriminator.parameters())


def test_real_tiles_are_asked_for_where_the_loss_compares(relativistic, players, draws):
    recipe = relativistic
    without = draws(recipe)._replace(real=None)

    with pytest.raises(ValueError, match="needs real tiles"):
        update_discriminator(players(recipe), recipe, without, 0.0)
    with pytest.raises(ValueError, match="give the logits on real tiles"):
        update_generator(players(recipe), recipe, without, 0.0)


def test_draws_are_left_as_they_were(recipes, players, draws):
    recipe = recipes["scene"]
    given, fresh = draws(recipe), draws(recipe)
    update_discriminator(players(recipe), recipe, given, 0.0)

    assert not given.real.requires_grad
    assert torch.equal(given.real, fresh.real)
    assert torch.equal(given.sky.draws, fresh.sky.draws)


@pytest.mark.parametrize("clip_norm", [False, True])
def test_a_clipped_critic_stays_within_its_bound(recipes, players, draws, clip_norm):
    recipe = recipes["improved"].model_copy(update={"clip": 0.005, "clip_norm": clip_norm})
    pair = players(recipe)
    update_discriminator(pair, recipe, draws(recipe), 0.5)
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


def test_the_original_s_discriminator_is_not_clipped(recipes, players, draws):
    pair = players(recipes["gan"])
    update_discriminator(pair, recipes["gan"], draws(recipes["gan"]), 0.0)

    assert float(pair.discriminator.last.weight.detach().abs().max()) > 0.02


def test_dropout_changes_the_discriminator_s_step(painter, players, draws):
    recipe = painter

    def loss(rate):
        torch.manual_seed(0)
        return float(update_discriminator(players(recipe), recipe, draws(recipe), rate))

    assert loss(0.0) != loss(0.5) == loss(0.5)


@pytest.mark.parametrize(("half_life", "batch"), [(1000, 10), (10_000, 32)])
def test_half_of_the_average_is_left_after_its_half_life(half_life, batch):
    decay = ema_decay(half_life, batch, images_seen=10**9)

    assert decay ** (half_life / batch) == pytest.approx(0.5)


def test_early_the_half_life_is_a_tenth_of_the_images_seen():
    assert ema_decay(10_000, 32, images_seen=6400) == pytest.approx(0.5 ** (32 / 640))
    assert ema_decay(10_000, 32, images_seen=32) == pytest.approx(0.5)  # never less than a batch
    assert ema_decay(10_000, 32, images_seen=100_000) == ema_decay(10_000, 32, images_seen=10**9)


def test_an_average_has_moved_half_way_after_its_half_life(recipe, players):
    average, target = players(recipe, 0).generator, players(recipe, 1).generator
    first, last = weights(average), weights(target)
    for _ in range(10):
        average_weights(average, target, 0.5 ** (1 / 10))

    for name, weight in weights(average).items():
        torch.testing.assert_close(weight, (first[name] + last[name]) / 2)


def test_an_average_takes_the_running_statistics_along_and_leaves_its_target(recipes, players):
    average, target = players(recipes["gan"], 0).generator, players(recipes["gan"], 1).generator
    target(torch.randn(8, recipes["gan"].latent_size))
    before = {name: value.clone() for name, value in target.state_dict().items()}
    average_weights(average, target, 0.75)

    norm, moved = average.layers[1], target.layers[1]
    torch.testing.assert_close(norm.running_mean, 0.25 * moved.running_mean)
    assert norm.num_batches_tracked == 1
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
