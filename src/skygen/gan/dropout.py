"""How much the discriminator discards at random, over training."""

from skygen.gan.recipes import Recipe


def s_dropout_rate(x: float, rate: float = 0.5, k: float = 0.25) -> float:
    """S-Dropout's rate after `x` iterations: rate - k / (x + 1), and `rate` at x = 0, where k counts as 0.

    Eq. 3 of Zhang, Wang, Duan 2019, whose values are 0.5 and 0.25: 0.5, 0.375 and 0.475 at x = 0, 1 and 9. It returns
    to `rate` for large x, so over a long training it differs from fixed dropout only at the beginning.
    """
    return rate if x <= 0 else rate - k / (x + 1)


def dropout_rate(recipe: Recipe, iteration: int, images_seen: int, training_tiles: int) -> float:
    """The rate in [0, 1) by the recipe's rule, after `iteration` generator updates and `images_seen` real tiles."""
    if recipe.dropout == "none":
        return 0.0
    if recipe.dropout == "fixed" or recipe.dropout_k is None:
        return recipe.dropout_rate
    x = iteration if recipe.dropout_unit == "iteration" else images_seen // training_tiles
    return s_dropout_rate(x, recipe.dropout_rate, recipe.dropout_k)
