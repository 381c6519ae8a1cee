"""The typed form of a row of `recipes` in params.yaml: all that the paper varies, as values.

The diff of two rows is the experiment. "The paper" is Zhang, Wang, Duan 2019 (J. Northwest. Polytech. Univ. 37(2),
315-322); DCGAN is Radford et al. 2016 (arXiv:1511.06434); WGAN is Arjovsky et al. 2017 (arXiv:1701.07875).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from skygen.params import ParamsError, Positive, Section, TrainingScale, validate

Norm = Literal["batch", "none"]
Last = Literal["tanh", "relu", "softplus", "softmax"]
Resampling = Literal["strided", "pooling"]
PENALTY_WITHOUT_NORM = ("gradient_penalty", "r1_r2")  # of single tiles' gradients, which batch norm mixes


class Recipe(Section):
    """One way to train a generator: what holds for generators of every kind."""

    generator: Literal["convolutional", "process"]
    """`convolutional`: a network paints tiles, noise and all, as in the paper. `process`: stars and galaxies at random
    places, whose marks a network draws, are drawn as light; the noise of the survey is added before the discriminator
    looks (Bora et al. 2018, AmbientGAN)."""

    softening_nmgy: Positive | None
    """Softening of the stretch through which this recipe's discriminator sees flux; null takes the tile set's."""

    loss: Literal["jensen_shannon", "wasserstein", "relativistic"]
    """The game's value: the paper's eqs 1 and 6 to 8 (original GAN), or eqs 9 to 12 (earth mover's distance), or
    relativistic pairing (Jolicoeur-Martineau 2019, arXiv:1807.00734)."""

    saturating: bool
    """Jensen-Shannon only: the generator minimises log(1 - D) instead of maximising log D. The paper leaves it open."""

    penalty: Literal["none", "clipping", "gradient_penalty", "r1_r2"]
    """What keeps the discriminator smooth: clipping of its weights (WGAN, algorithm 1); a slope of 1 between real and
    fake tiles (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3); small slopes at real and at fake tiles (Mescheder et
    al. 2018, arXiv:1801.04406, eqs 9 and 10). The last two have no sense with batch norm."""

    clip: Positive | None
    """Clipping only: the bound on every clipped weight. 0.01 in WGAN, algorithm 1."""

    clip_norm: bool
    """Whether clipping also bounds the scales and offsets of batch norm. WGAN's text says all weights; bounding the
    scales to 0.01 all but removes the critic's gradient, so the recipe leaves them free."""

    penalty_weight: Positive | None
    """Gradient penalties only: λ (10 in Gulrajani et al.), or that of R1 and R2, which count half of it each (gamma in
    Huang et al.)."""

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

    optimiser: Literal["sgd", "rmsprop", "adam", "adamax", "adagrad"]
    """Of both networks: the paper's table 1, Adam chosen there."""

    generator_lr: Positive
    """The optimiser's step for the generator: slightly above the discriminator's, as the paper asks. DCGAN's order."""

    discriminator_lr: Positive
    """The optimiser's step for the discriminator: 2e-4 in DCGAN."""

    lr_decay: Annotated[float, Field(gt=0, le=1)] | None
    """The share of both steps that is left at the end of a training, to which they fall geometrically; null keeps them
    as they are."""

    beta1: Annotated[float, Field(ge=0, lt=1)]
    """First decay of Adam and Adamax, momentum of SGD and RMSprop: 0.5 in DCGAN. Adagrad has none."""

    beta2: Annotated[float, Field(ge=0, lt=1)]
    """Second decay of Adam and Adamax, decay of RMSprop's mean square: 0.999."""

    ema_half_life: Positive | None
    """Images after which a generator's weights count half in the moving average that is kept and served; early in a
    training it is shorter. null serves the weights themselves, as the paper does. Averaging calms the oscillation of
    the game (Yazici et al. 2019, arXiv:1806.04498)."""

    least_diversity: Annotated[float, Field(ge=0, lt=1)]
    """Diversity of the validation's generated tiles below which a training counts as collapsed: real tiles have 1, one
    tile repeated 0. Collapsed trainings of `gan` were measured at 0.14 and 0.15, those that recovered at 0.29 and more.
    Of a process it is that of scenes without noise."""

    on_trouble: Literal["stop", "warn"]
    """What a training does that collapsed or diverged: it stops with an error, or is tagged and goes on. A loss that is
    not finite always stops it."""

    @property
    def penalty_weights(self) -> tuple[float | None, ...]:
        """The weight of the penalty for each network of the discriminator."""
        return (self.penalty_weight,)

    @property
    def needs_real_tiles(self) -> bool:
        """Whether the generator's loss compares fake tiles with real ones."""
        return self.loss == "relativistic"

    @property
    def makes_scenes(self) -> bool:
        """Whether the survey's noise is added to what the generator gives."""
        return True

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        if (self.clip is None) == (self.penalty == "clipping"):
            raise ValueError(f"clip is {self.clip}, but it must be given for clipping and null otherwise")
        if (self.penalty_weight is None) == (self.penalty in PENALTY_WITHOUT_NORM):
            raise ValueError(
                f"penalty_weight is {self.penalty_weight}, but it must be given for a gradient penalty and for R1 + R2 "
                "and null otherwise"
            )
        if self.saturating and self.loss != "jensen_shannon":
            raise ValueError("saturating is true, but only the Jensen-Shannon loss can saturate; set it to false")
        if (self.dropout_k is None) == (self.dropout == "s_dropout"):
            raise ValueError(f"dropout_k is {self.dropout_k}, but it must be given for s_dropout and null otherwise")
        if self.dropout_k is not None and self.dropout_k > self.dropout_rate:
            raise ValueError(f"dropout_k is {self.dropout_k}; above dropout_rate {self.dropout_rate} rates go negative")
        return self

    def at_scale(self, scale: TrainingScale) -> Self:
        """The recipe as a scale runs it: dropout and clipping times the scale's factors."""
        changes: dict[str, Any] = {
            "dropout_rate": self.dropout_rate * scale.dropout_factor,
        }
        if self.dropout_k is not None:
            changes["dropout_k"] = self.dropout_k * scale.dropout_factor
        if self.clip is not None:
            changes["clip"] = self.clip * scale.clip_factor
        return self.model_copy(update=changes)


class ConvolutionalRecipe(Recipe):
    """One way to train a convolutional generator, which paints tiles, or scenes to which noise is added."""

    generator: Literal["convolutional"]

    last: Last
    """The generator's last activation: the paper's table 3, tanh chosen there."""

    generator_norm: Norm
    """Batch norm after every convolution of the generator but the last, as in the paper; or none (Huang et al. 2024,
    arXiv:2501.05441)."""

    discriminator_norm: Norm
    """The same of the discriminator. Gradient penalties have no sense with it."""

    resampling: Resampling
    """How maps grow and shrink: by transposed and strided convolutions, as in the paper, or, as in the GAN that it says
    it changes (section 1.2), by repeating values and by keeping the largest of four."""

    init: Literal["normal", "uniform"]
    """Distribution of the initial weights: Gaussian in DCGAN, uniform in the paper (figs 4 and 5)."""

    init_std: Positive | None
    """Standard deviation of the initial weights, of either distribution: 0.02 in DCGAN, and the paper gives no range.
    null takes the one that keeps the features' variance, layer by layer (He et al. 2015, arXiv:1502.01852)."""

    noise: Literal["painted", "survey"]
    """Whether the generator paints the noise of the sky, as in the paper, or paints scenes, to which that of the survey
    is added before the discriminator looks (Bora et al. 2018, AmbientGAN)."""

    latents: Literal["normal", "uniform"]
    """Distribution of the latents: standard normal, or uniform on [-1, 1]."""

    latent_size: Annotated[int, Field(ge=1)]
    """Numbers in a latent vector: 100 in the paper."""

    logit_slope: Annotated[float, Field(ge=0, le=1)]
    """Negative slope of the Leaky-ReLU on the discriminator's last layer: 0.2 as printed in the paper; 1 leaves the
    logit raw."""

    @property
    def makes_scenes(self) -> bool:
        """Whether the survey's noise is added to what the generator gives."""
        return self.noise == "survey"

    @model_validator(mode="after")
    def _norm_leaves_tiles_apart(self) -> Self:
        if self.penalty in PENALTY_WITHOUT_NORM and self.discriminator_norm == "batch":
            raise ValueError(
                f"penalty is {self.penalty}, of single tiles' gradients, but batch norm mixes the tiles of a batch; "
                "set discriminator_norm to none"
            )
        return self


class ProcessRecipe(Recipe):
    """One way to train a process, against two networks: one looks at patches of tiles, one at stamps around peaks.

    Its row leaves out what a process has no choice of: the fields that have a value here.
    """

    generator: Literal["process"]
    penalty: Literal["none", "r1_r2"]
    saturating: Literal[False] = False
    clip: None = None
    clip_norm: Literal[False] = False
    dropout: Literal["none"] = "none"
    dropout_rate: Annotated[float, Field(ge=0, le=0)] = 0.0
    dropout_k: None = None
    dropout_unit: Literal["iteration"] = "iteration"

    stamp_penalty_weight: Positive | None
    """R1 and R2 of the network that looks at stamps; `penalty_weight` is that of the one that looks at patches."""

    stamps_a_tile: Annotated[int, Field(ge=1)]
    """Stamps at most that are cut from a tile, around its highest peaks."""

    @property
    def penalty_weights(self) -> tuple[float | None, ...]:
        """The weights for patches and for stamps."""
        return self.penalty_weight, self.stamp_penalty_weight

    @model_validator(mode="after")
    def _stamps_are_penalised_as_patches_are(self) -> Self:
        if (self.stamp_penalty_weight is None) != (self.penalty_weight is None):
            raise ValueError(
                f"stamp_penalty_weight is {self.stamp_penalty_weight} and penalty_weight {self.penalty_weight}, but "
                "both must be given for R1 + R2 and null otherwise"
            )
        return self


_KINDS: dict[object, type[Recipe]] = {"convolutional": ConvolutionalRecipe, "process": ProcessRecipe}


def read_recipe(row: Mapping[str, Any], where: str) -> Recipe:
    """The typed form of a row; raises `ParamsError` that names the key, its place prefixed by `where`."""
    kind = row.get("generator")
    if "generator" in row and not (isinstance(kind, str) and kind in _KINDS):
        raise ParamsError(f"{where}: generator = {kind!r}: it must be one of {', '.join(map(str, _KINDS))}")
    return validate(_KINDS[row.get("generator", "convolutional")], row, where)


def read_recipes(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """The typed recipes of params.yaml's section `recipes`; raises `ParamsError` that names the row and the key."""
    if not rows:
        raise ParamsError("recipes: empty; give at least one row, such as gan")
    return {name: read_recipe(row, f"recipes.{name}") for name, row in rows.items()}
