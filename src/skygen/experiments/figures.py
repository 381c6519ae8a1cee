"""`skygen paper --figures`: figures 4 to 14 of the paper, from the tiles and models of the clone.

Sky is shown in the survey's look (`skygen.formats.png`), under the same stretch in every figure. Beside the paper's own
stand tiles of `scene`, curves of the first iterations, and the argument of its section 3.3.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.experiments.distances import draw_distances
from skygen.experiments.spec import Arm, choose, read_experiments
from skygen.experiments.summary import REPORTS
from skygen.files import replace_folder, write_json
from skygen.formats.png import BLACK_NMGY, WHITE_NMGY, contact_sheet
from skygen.formats.sheets import save_picture, side_by_side
from skygen.gan.card import BundleError
from skygen.gan.dropout import dropout_rate
from skygen.gan.recipes import ConvolutionalRecipe
from skygen.params import Params
from skygen.provenance import choose_device, git_commit
from skygen.report.chart_style import legend, look, panels, plain_numbers, save_chart, styled
from skygen.tiles.store import Split, TileSplit, TileStore
from skygen.training.loop import train

FOLDER = REPORTS / "figures"
CAPTIONS = "captions.json"  # in it: by the file's name
SMALL, LARGE = "r64", "gri128"  # the tile sets of the paper's two shapes
_TILES, _MODELS = Path("data/tiles"), Path("models")
_COUNT, _COLUMNS = 64, 8  # tiles of a figure, as in the paper's mosaics
_ITERATIONS, _EVERY = 80, 5  # of the first iterations, and between two measurements of them: under two minutes in all
_SHOWN = (5, 20, 80)  # after how many of them tiles are shown
_REMEDY = "make repro makes all that the figures need"
_CURVES = {
    "discriminator_loss": "discriminator's loss",
    "generator_loss": "generator's loss",
    "validation_score": "validation score (1: as real)",
}


class Drawn(NamedTuple):
    """A figure and its caption."""

    figure: Image.Image | Figure
    caption: str


def draw_figures(params: Params, say: Callable[[str], None]) -> int:
    """Draw all figures into reports/paper/figures, which appears whole; how many could not be drawn, and are said.

    Runs in the clone's root. A caption names what is seen, recipe, seed, scale and commit.
    """
    captions: dict[str, str] = {}
    missing: dict[str, list[str]] = {}
    with replace_folder(FOLDER) as folder:
        for name, draw in _Paper(params).figures.items():
            try:
                figure, captions[name] = draw()
            except (FileNotFoundError, BundleError) as error:
                missing.setdefault(str(error), []).append(name)
                continue
            save = save_picture if isinstance(figure, Image.Image) else save_chart
            save(figure, folder / name)  # type: ignore[arg-type]
            say(f"{FOLDER / name}: {captions[name]}")
        write_json(folder / CAPTIONS, captions)
    for reason, names in missing.items():
        say(f"without {', '.join(names)}: {reason}")
    return sum(map(len, missing.values()))


@dataclass(frozen=True)
class _Start:
    """The first iterations of a training."""

    recipe: ConvolutionalRecipe
    tiles: Mapping[int, NDArray[np.float32]]  # [N, bands, H, W] in nmgy after so many iterations, of the same latents
    history: list[dict[str, float]]


class _Samples:
    """A log that keeps the tiles of each measurement, by images seen."""

    def __init__(self) -> None:
        self.tiles: dict[int, NDArray[np.float32]] = {}

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Keep them."""
        self.tiles[images_seen] = flux_nmgy

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """The state's history has them."""

    def tag(self, name: str, value: str) -> None:
        """The state's history has it."""


class _Paper:
    """The figures of a clone by the names of their files, each drawn when it is asked for."""

    def __init__(self, params: Params) -> None:
        self._params, self._seed = params, params.seeds[0]
        self._sky = f"black is {BLACK_NMGY:g} nmgy, white {WHITE_NMGY:g}; frames: {params.frames.source}"
        self._drawn = f"scale {params.scale}, drawn at commit {git_commit()[:12]}"
        self.figures: dict[str, Callable[[], Drawn]] = {
            "figure-04.png": partial(self._start_tiles, "Figure 4", "uniform"),
            "figure-05.png": partial(self._start_tiles, "Figure 5", "normal"),
            "figures-04-05.svg": self._start_curves,
            "figure-06.png": partial(self._real, "Figure 6", SMALL, "train"),
            "figure-07.png": partial(self._real, "Figure 7", LARGE, "train"),
            "figures-08-09.svg": self._rates,
            "figure-10.png": partial(self._generated, "Figure 10", SMALL, "improved"),
            "figure-11.png": partial(self._generated, "Figure 11", SMALL, "gan"),
            "figure-12.png": partial(self._real, "Figure 12", SMALL, "test"),
            "scene-r64.png": partial(self._generated, "Beside figures 10 to 12", SMALL, "scene"),
            "figure-13.png": partial(self._generated, "Figure 13", LARGE, "improved"),
            "figure-14.png": partial(self._generated, "Figure 14", LARGE, "gan"),
            "real-gri128.png": partial(self._real, "Beside figures 13 and 14", LARGE, "test"),
            "scene-gri128.png": partial(self._generated, "Beside figures 13 and 14", LARGE, "scene"),
            "section-3.3.svg": self._distances,
        }

    def _real(self, title: str, tiles: str, split: Split) -> Drawn:
        store = _store(tiles)
        held, places = _spread(store, split)
        cut = f"{len(places)} of the {len(held)} {split} tiles of {tiles}, as cut from frames"
        caption = f"{title}: {cut}; {self._sky}; {self._drawn}."
        return Drawn(contact_sheet(held.batch(places), store.card.bands, _COLUMNS), caption)

    def _generated(self, title: str, tiles: str, recipe: str) -> Drawn:
        """Tiles as they are compared with those of the test split: scenes are observed as these were."""
        folder = _MODELS / tiles / recipe / str(self._seed) / "bundle"
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder; {_REMEDY}")
        bundle, store = Bundle.load(folder), _store(tiles)
        held, places = _spread(store, "test")
        readouts, seed = held.readouts(), tiles_seed("test", self._params.evaluation.seed)
        flux = generated_tiles(bundle, store, [readouts[place] for place in places], seed)
        card = bundle.card
        caption = (
            f"{title}: {len(flux)} generated tiles of {tiles}, recipe {card.recipe}, seed {card.seed}, scale "
            f"{card.scale}, after {card.iteration} iterations, trained at commit {card.commit[:12]}; {self._sky}."
        )
        return Drawn(contact_sheet(flux, card.bands, _COLUMNS), caption)

    @cached_property
    def _starts(self) -> list[_Start]:
        """The first iterations of each arm of the experiment `initialisation`."""
        sizes = {"iterations": _ITERATIONS, "measurements": _ITERATIONS // _EVERY}
        scale, store = self._params.chosen.training[SMALL].model_copy(update=sizes), _store(SMALL)
        starts = []
        for arm in self._arms("initialisation"):
            if isinstance(recipe := arm.row.at_scale(scale), ConvolutionalRecipe):
                log = _Samples()
                with tempfile.TemporaryDirectory() as folder:
                    state = train(recipe, scale, store, self._seed, choose_device(), Path(folder) / "state.pt", log)
                taken = {int(row["iteration"]): log.tiles[int(row["images_seen"])] for row in state.history}
                starts.append(_Start(recipe, taken, state.history))
        return starts

    def _start_tiles(self, title: str, init: str) -> Drawn:
        bands = _store(SMALL).card.bands
        pictures = {
            f"{start.recipe.latents} latents, iteration {iteration}": _enlarged(
                contact_sheet(start.tiles[iteration], bands)
            )
            for iteration in _SHOWN
            for start in self._starts
            if start.recipe.init == init
        }
        caption = f"{title}: tiles of {SMALL} early in a training from {init} weights; {self._start}; {self._sky}."
        return Drawn(side_by_side(pictures), caption)

    def _start_curves(self) -> Drawn:
        with styled():
            figure, places = panels(len(_CURVES), len(_CURVES))
            for axes, (key, title) in zip(places, _CURVES.items(), strict=True):
                for place, start in enumerate(self._starts):
                    label = f"{start.recipe.init} weights,\n{start.recipe.latents} latents"
                    seen, values = zip(*((row["iteration"], row[key]) for row in start.history), strict=True)
                    axes.plot(seen, values, color=look(place).colour, linestyle=look(place).line, label=label)
                axes.set(title=title, xlabel="iterations")
            places[-1].set_yscale("log")
            plain_numbers(places[-1])
            legend(figure, places[0])
        return Drawn(figure, f"Figures 4 and 5 as curves: losses and validation score on {SMALL}; {self._start}.")

    @property
    def _start(self) -> str:
        return f"recipe improved but for these, seed {self._seed}, {self._drawn}"

    def _rates(self) -> Drawn:
        scale, tiles = self._params.chosen.training[SMALL], len(_store(SMALL).split("train"))
        with styled():
            figure, (axes,) = panels(1, 1, width=6.2, height=3.0)
            for place, arm in enumerate(self._arms("dropout")):
                images = scale.batch * arm.row.critic_steps
                rates = [dropout_rate(arm.row, done, done * images, tiles) for done in range(scale.iterations)]
                axes.step(
                    range(scale.iterations),
                    rates,
                    where="post",
                    color=look(place).colour,
                    linestyle=look(place).line,
                    label=arm.name,
                )
            axes.set_xscale("symlog", linthresh=1)
            axes.set(xlabel="iterations done", ylabel="dropout rate")
            legend(figure, axes)
        times = f", here before they are multiplied by {scale.dropout_factor:g}" if scale.dropout_factor != 1 else ""
        caption = (
            f"In place of figures 8 and 9: dropout's rates by eq. 3{times}, {tiles} tiles an epoch; {self._drawn}."
        )
        return Drawn(figure, caption)

    def _distances(self) -> Drawn:
        return Drawn(draw_distances(), f"Section 3.3: two distributions, ever farther apart; {self._drawn}.")

    def _arms(self, experiment: str) -> Iterable[Arm]:
        """The arms of an experiment; raises `ValueError` where there is none of this name."""
        (found,) = choose(read_experiments(self._params), [experiment])
        return found.arms.values()


def _store(tiles: str) -> TileStore:
    try:
        return TileStore.open(_TILES / tiles)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; {_REMEDY}") from None


def _spread(store: TileStore, split: Split) -> tuple[TileSplit, list[int]]:
    """A split, and the places of some of its tiles, from all of its fields."""
    held = store.split(split)
    return held, np.linspace(0, len(held) - 1, min(_COUNT, len(held))).round().astype(int).tolist()


def _enlarged(picture: Image.Image) -> Image.Image:
    """Each pixel as 2 x 2."""
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)
