import ast
import inspect
import itertools

import pytest

from skygen.gan import recipes as module
from skygen.gan.dropout import s_dropout_rate
from skygen.gan.recipes import ConvolutionalRecipe, ProcessRecipe, Recipe, read_recipe, read_recipes
from skygen.params import ParamsError, TrainingScale

CHANGED_BY_THE_PAPER = {"loss", "penalty", "clip", "critic_steps", "dropout", "dropout_k", "init"}


def scale(**factors):
    sizes = {"iterations": 10, "batch": 4, "width": 2, "measurements": 1}
    return TrainingScale(**{**sizes, "dropout_factor": 1.0, "clip_factor": 1.0, **factors})


def refusal(rows, **changes):
    with pytest.raises(ParamsError) as caught:
        read_recipes({"mine": {**rows, **changes}})
    return str(caught.value)


def test_the_paper_s_recipes_differ_in_what_it_changes_and_in_nothing_else(recipes):
    gan, improved = (recipes[name].model_dump() for name in ("gan", "improved"))

    assert {key for key in gan if gan[key] != improved[key]} == CHANGED_BY_THE_PAPER


def test_the_original_is_the_paper_s(recipes):
    gan = recipes["gan"]

    assert (gan.loss, gan.saturating, gan.clip, gan.critic_steps) == ("jensen_shannon", False, None, 1)
    assert (gan.dropout, gan.dropout_rate, gan.dropout_k) == ("fixed", 0.5, None)
    assert (gan.init, gan.init_std, gan.latent_size) == ("normal", 0.02, 100)
    assert (gan.generator_lr, gan.discriminator_lr, gan.beta1, gan.beta2) == (2.5e-4, 2e-4, 0.5, 0.999)


def test_the_improved_one_is_the_paper_s(recipes):
    improved = recipes["improved"]

    assert (improved.loss, improved.clip, improved.clip_norm, improved.critic_steps) == ("wasserstein", 0.01, False, 5)
    assert (improved.dropout, improved.dropout_rate, improved.dropout_k) == ("s_dropout", 0.5, 0.25)
    assert (improved.dropout_unit, improved.init, improved.logit_slope) == ("iteration", "uniform", 0.2)


def test_the_paper_s_generators_learn_slightly_faster(recipes):
    for recipe in (recipes["gan"], recipes["improved"]):
        assert 1 < recipe.generator_lr / recipe.discriminator_lr < 2
        assert (recipe.generator_norm, recipe.discriminator_norm, recipe.resampling) == ("batch", "batch", "strided")
        assert (recipe.last, recipe.optimiser, recipe.ema_half_life) == ("tanh", "adam", None)
        assert (recipe.generator, recipe.softening_nmgy, recipe.lr_decay) == ("convolutional", None, None)
        assert not recipe.needs_real_tiles


def test_scene_is_a_process_in_a_relativistic_game_with_small_slopes(recipes):
    scene = recipes["scene"]

    assert isinstance(scene, ProcessRecipe)
    assert (scene.loss, scene.penalty, scene.clip, scene.dropout) == ("relativistic", "r1_r2", None, "none")
    assert scene.penalty_weights == (scene.penalty_weight, scene.stamp_penalty_weight)
    assert scene.needs_real_tiles


def test_a_row_is_of_the_kind_that_its_generator_says(params):
    kinds = {name: type(read_recipe(row, name)) for name, row in params.recipes.items()}

    networks = dict.fromkeys(("gan", "improved", "ambient"), ConvolutionalRecipe)
    assert kinds == {**networks, "scene": ProcessRecipe}
    with pytest.raises(ParamsError, match=r"mine: generator = 'diffusion': it must be one of convolutional, process"):
        read_recipe({**params.recipes["gan"], "generator": "diffusion"}, "mine")
    with pytest.raises(ParamsError, match=r"mine: generator: missing"):
        read_recipe({key: value for key, value in params.recipes["gan"].items() if key != "generator"}, "mine")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("dropout", "fixed", "dropout = 'fixed': Input should be 'none'"),
        ("clip", 0.01, "clip = 0.01: Input should be None"),
        ("penalty", "clipping", "penalty = 'clipping': Input should be 'none' or 'r1_r2'"),
        ("latent_size", 100, "latent_size: unknown key (value 100); remove it"),
        ("generator_norm", "none", "generator_norm: unknown key"),
        ("stamps_a_tile", 0, "greater than or equal to 1"),
        ("lr_decay", 0.0, "greater than 0"),
        ("stamp_penalty_weight", None, "stamp_penalty_weight is None and penalty_weight 0.05, but both must be given"),
    ],
)
def test_what_a_process_has_no_choice_of_is_refused(params, key, value, words):
    row = {**params.recipes["scene"], "penalty_weight": 0.05}

    assert words in refusal(row, **{key: value})


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("gan", {"clip": 0.01}, "clip is 0.01, but it must be given for clipping and null otherwise"),
        ("improved", {"clip": None}, "clip is None, but it must be given for clipping"),
        (
            "gan",
            {"penalty_weight": 10.0},
            "penalty_weight is 10.0, but it must be given for a gradient penalty and for",
        ),
        ("scene", {"penalty_weight": None}, "penalty_weight is None, but it must be given for a gradient penalty"),
        (
            "scene",
            {"penalty": "none"},
            "but it must be given for a gradient penalty and for R1 + R2 and null otherwise",
        ),
        ("gan", {"penalty": "r1_r2", "penalty_weight": 1.0}, "penalty is r1_r2, of single tiles' gradients, but batch"),
        ("gan", {"penalty": "gradient_penalty", "penalty_weight": 1.0}, "batch norm mixes the tiles of a batch; set"),
        ("improved", {"saturating": True}, "only the Jensen-Shannon loss can saturate; set it to false"),
        ("gan", {"dropout_k": 0.25}, "dropout_k is 0.25, but it must be given for s_dropout and null otherwise"),
        ("improved", {"dropout_k": None}, "dropout_k is None, but it must be given for s_dropout"),
        ("improved", {"dropout": "none"}, "null otherwise"),
        ("improved", {"dropout_k": 0.6}, "dropout_k is 0.6; above dropout_rate 0.5"),
    ],
)
def test_values_that_do_not_go_together_are_refused(params, name, changes, words):
    message = refusal(params.recipes[name], **changes)

    assert message.startswith("recipes.mine: ")
    assert words in message


@pytest.mark.parametrize(
    ("key", "value", "legal"),
    [
        ("softening_nmgy", -0.2, "greater than 0"),
        ("last", "sigmoid", "'tanh', 'relu', 'softplus' or 'softmax'"),
        ("generator_norm", "layer", "'batch' or 'none'"),
        ("resampling", "bilinear", "'strided' or 'pooling'"),
        ("loss", "hinge", "'jensen_shannon', 'wasserstein' or 'relativistic'"),
        ("penalty", "r1", "'none', 'clipping', 'gradient_penalty' or 'r1_r2'"),
        ("penalty_weight", 0.0, "greater than 0"),
        ("optimiser", "lion", "'sgd', 'rmsprop', 'adam', 'adamax' or 'adagrad'"),
        ("ema_half_life", 0.0, "greater than 0"),
        ("clip", 0.0, "greater than 0"),
        ("critic_steps", 0, "greater than or equal to 1"),
        ("critic_steps", 21, "less than or equal to 20"),
        ("dropout", "always", "'none', 'fixed' or 's_dropout'"),
        ("dropout_rate", 1.0, "less than 1"),
        ("dropout_rate", -0.1, "greater than or equal to 0"),
        ("init", "xavier", "'normal' or 'uniform'"),
        ("latent_size", 0, "greater than or equal to 1"),
        ("latent_size", "100", "valid integer"),
        ("logit_slope", 1.1, "less than or equal to 1"),
        ("generator_lr", 0.0, "greater than 0"),
        ("generator_lr", float("nan"), "finite number"),
        ("beta1", 1.0, "less than 1"),
    ],
)
def test_a_value_that_is_not_legal_is_named_with_its_row_and_what_is(params, key, value, legal):
    message = refusal(params.recipes["gan"], **{key: value})

    assert f"recipes.mine: {key} = {value!r}: " in message
    assert legal in message


def test_keys_are_neither_invented_nor_forgotten(params):
    row = params.recipes["gan"]

    assert "recipes.mine: momentum: unknown key (value 0.9)" in refusal(row, momentum=0.9)
    assert "recipes.mine: loss: missing" in refusal({key: value for key, value in row.items() if key != "loss"})
    with pytest.raises(ParamsError, match="recipes: empty; give at least one row"):
        read_recipes({})


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam", "adamax", "adagrad"])
@pytest.mark.parametrize("name", ["gan", "improved", "scene"])
def test_every_recipe_takes_each_optimiser_of_the_paper_s_table(params, name, optimiser):
    row = {**params.recipes[name], "optimiser": optimiser}

    assert read_recipes({"mine": row})["mine"].optimiser == optimiser


@pytest.mark.parametrize(
    "changes",
    [
        {"penalty": "gradient_penalty", "penalty_weight": 10.0, "discriminator_norm": "none"},
        {"penalty": "r1_r2", "penalty_weight": 1.0, "discriminator_norm": "none"},
        {"penalty": "clipping", "clip": 0.01},
    ],
)
def test_penalties_go_with_every_loss(params, changes):
    for loss in ("jensen_shannon", "wasserstein", "relativistic"):
        row = {**params.recipes["gan"], "loss": loss, **changes}
        assert read_recipes({"mine": row})["mine"].model_dump() == row


def test_a_scale_multiplies_dropout_and_clipping(recipes):
    scaled = recipes["improved"].at_scale(scale(dropout_factor=0.2, clip_factor=4.0))
    before, after = recipes["improved"].model_dump(), scaled.model_dump()

    factors = {"dropout_rate": 0.2, "dropout_k": 0.2, "clip": 4.0}
    for key, factor in factors.items():
        assert after[key] == pytest.approx(factor * before[key])
    assert {key for key in before if before[key] != after[key]} == set(factors)


def test_a_scale_leaves_what_a_recipe_lacks_away(recipes):
    scaled = recipes["gan"].at_scale(scale(dropout_factor=0.2, clip_factor=4.0))

    assert (scaled.clip, scaled.dropout_k, scaled.dropout_rate) == (None, None, pytest.approx(0.1))


def test_a_scale_keeps_the_shape_of_s_dropout(recipes):
    scaled = recipes["improved"].at_scale(scale(dropout_factor=0.2))

    for x in (0, 1, 9, 1000):
        rate = s_dropout_rate(x, scaled.dropout_rate, scaled.dropout_k)
        assert rate == pytest.approx(0.2 * s_dropout_rate(x))


def test_the_paper_s_scale_runs_the_rows_as_they_are(params, recipes):
    for training in params.scales["paper"].training.values():
        for recipe in recipes.values():
            assert recipe.at_scale(training) == recipe


def test_what_a_scale_makes_of_a_recipe_is_legal(params, recipes):
    for sizes in params.scales.values():
        for training in sizes.training.values():
            for name, recipe in recipes.items():
                scaled = recipe.at_scale(training)
                assert read_recipes({name: scaled.model_dump()})[name] == scaled


@pytest.mark.parametrize("kind", [Recipe, ConvolutionalRecipe, ProcessRecipe])
def test_every_field_is_documented(kind):
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    documented = {
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and len(str(text.value.value)) > 20
    }

    assert documented == set(kind.model_fields) - (set(Recipe.model_fields) if kind is not Recipe else set())
