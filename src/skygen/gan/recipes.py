"""The typed form of a row of `recipes` in params.yaml: all that the paper varies, as values.

The diff of two rows is the experiment. "The paper" is Zhang, Wang, Duan 2019 (J. Northwest. Polytech. Univ. 37(2),
315-322); DCGAN is Radford et al. 2016 (arXiv:1511.06434); WGAN is Arjovsky et al. 2017 (arXiv:1701.07875).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from skygen.params import ParamsError, Positive, Section, TrainingScale, validate


class Recipe(Section):
    """One way to train a generator."""

    loss: Literal["jensen_shannon", "wasserstein"]
    """The game's value: the paper's eqs 1 and 6 to 8 (original GAN), or eqs 9 to 12 (earth mover's distance)."""

    saturating: bool
    """Jensen-Shannon only: the generator minimises log(1 - D) instead of maximising log D. The paper leaves it open."""

    clip: Positive | None
    """Bound on every clipped weight of a Wasserstein critic; null clips nothing. 0.01 in WGAN, algorithm 1."""

    clip_norm: bool
    """Whether clipping also bounds the scales and offsets of batch norm. WGAN's text says all weights; bounding the
    scales to 0.01 all but removes the critic's gradient, so the recipe leaves them free."""

    critic_steps: Annotated[int, Field(ge=1, le=20)]
    """Discriminator updates for each generator update: 1 in the original GAN, 5 in WGAN, algorithm 1."""

    dropout: Literal["none", "fixed", "s_dropout"]
    """Rule for the rate of random discarding after every convolution of the discriminator: the paper's section 2.2."""

    dropout_rate: Annotated[float, Field(ge=0, lt=1)]
    """The fixed rate, and the limit of S-Dropout: 0.5 in the paper."""

    dropout_k: Annotated[float, Field(ge=0, le=1)] | None
    """S-Dropout only: k of the paper's eq. 3, 0.25 there."""

    dropout_unit: Literal["iteration", "epoch"]
    """The unit of x in eq. 3, which the paper calls iterations: generator updates, or passes over the tiles."""

    init: Literal["normal", "uniform"]
    """Distribution of the initial weights: Gaussian in DCGAN, uniform in the paper (figs 4 and 5)."""

    init_std: Positive
    """Standard deviation of the initial weights, of either distribution: 0.02 in DCGAN. The paper gives no range."""

    latents: Literal["normal", "uniform"]
    """Distribution of the latents: standard normal, or uniform on [-1, 1]."""

    latent_size: Annotated[int, Field(ge=1)]
    """Numbers in a latent vector: 100 in the paper."""

    logit_slope: Annotated[float, Field(ge=0, le=1)]
    """Negative slope of the Leaky-ReLU on the discriminator's last layer: 0.2 as printed in the paper; 1 leaves the
    logit raw."""

    generator_lr: Positive
    """Adam's step for the generator: slightly above the discriminator's, as the paper asks. DCGAN's order."""

    discriminator_lr: Positive
    """Adam's step for the discriminator: 2e-4 in DCGAN."""

    beta1: Annotated[float, Field(ge=0, lt=1)]
    """Adam's first decay: 0.5 in DCGAN."""

    beta2: Annotated[float, Field(ge=0, lt=1)]
    """Adam's second decay: 0.999."""

    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay an iteration of the moving average of the generator's weights that is kept and served; null serves the
    weights themselves, as the paper does. Averaging calms the oscillation of the game (Yazici et al. 2019,
    arXiv:1806.04498)."""

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        if self.clip is not None and self.loss != "wasserstein":
            raise ValueError(f"clip is {self.clip}, but only a Wasserstein critic is clipped; set it to null")
        if self.saturating and self.loss != "jensen_shannon":
            raise ValueError("saturating is true, but only the Jensen-Shannon loss can saturate; set it to false")
        if (self.dropout_k is None) == (self.dropout == "s_dropout"):
            raise ValueError(f"dropout_k is {self.dropout_k}, but it must be given for s_dropout and null otherwise")
        if self.dropout_k is not None and self.dropout_k > self.dropout_rate:
            raise ValueError(f"dropout_k is {self.dropout_k}; above dropout_rate {self.dropout_rate} rates go negative")
        return self

    def at_scale(self, scale: TrainingScale) -> "Recipe":
        """The recipe as a scale runs it: dropout and clipping times the scale's factors."""
        changes: dict[str, Any] = {
            "dropout_rate": self.dropout_rate * scale.dropout_factor,
        }
        if self.dropout_k is not None:
            changes["dropout_k"] = self.dropout_k * scale.dropout_factor
        if self.clip is not None:
            changes["clip"] = self.clip * scale.clip_factor
        return self.model_copy(update=changes)


def read_recipes(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """The typed recipes of params.yaml's section `recipes`; raises `ParamsError` that names the row and the key."""
    if not rows:
        raise ParamsError("recipes: empty; give at least one row, such as gan")
    return {name: validate(Recipe, row, f"recipes.{name}") for name, row in rows.items()}
