"""What `skygen folds` is asked for: which folds, of which tile sets, recipes and seeds, or with which bundle."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skygen.bundle.bundle import Bundle
from skygen.files import replace_folder
from skygen.folds.workplace import Fold, folds_of, stages_of
from skygen.names import known
from skygen.params import Params
from skygen.sky.manifest import Manifest

DISCRIMINATOR = "discriminator.safetensors"  # beside a training's bundle


@dataclass(frozen=True)
class Finished:
    """A bundle that every fold evaluates in the place of trainings, and the name that it has there as a recipe."""

    folder: Path
    sha256: str
    tiles: str
    recipe: str
    seed: int

    @classmethod
    def find(cls, folder: Path) -> "Finished":
        """The bundle in the folder of a training, or in `folder` itself; raises `BundleError` where it is none."""
        place = folder / "bundle" if (folder / "bundle").is_dir() else folder
        bundle = Bundle.load(place, engine="eager")
        card, sha256 = bundle.card, bundle.sha256
        return cls(place, sha256, card.tiles, f"{card.recipe}-{sha256[:8]}", card.seed)

    def lay_into(self, fold: Fold) -> None:
        """Copy it, with its discriminator if that lies beside it, to where a training of the fold would leave it."""
        with replace_folder(fold.folder / "models" / self.tiles / self.recipe / str(self.seed)) as place:
            shutil.copytree(self.folder, place / "bundle")
            if (discriminator := self.folder.parent / DISCRIMINATOR).is_file():
                shutil.copy(discriminator, place)


@dataclass(frozen=True)
class Plan:
    """What is asked for: tile sets, recipes and seeds in each of some folds; or a finished bundle in each."""

    params: Params
    folds: Sequence[Fold]
    sets: Sequence[str]
    recipes: Sequence[str]
    seeds: Sequence[int]
    finished: Finished | None = None

    @classmethod
    def of(
        cls,
        params: Params,
        sets: Sequence[str] = (),
        recipes: Sequence[str] = (),
        seeds: Sequence[int] = (),
        fields: Sequence[str] = (),
        bundle: Path | None = None,
    ) -> "Plan":
        """The plan of what is named, and of all that params.yaml compares where nothing is.

        Raises `ValueError`, with what there is, for a name that there is not, and `FileNotFoundError` without frames.
        """
        manifest = Manifest.read(Path("data/frames"))
        if manifest.source != params.frames.source:
            raise ValueError(
                f"data/frames holds {manifest.source} frames, params.yaml has frames.source {params.frames.source}: "
                "run dvc repro frames"
            )
        folds = folds_of({row.field_id: (row.ra_deg, row.dec_deg) for row in manifest.frames})
        by_field = {fold.test: fold for fold in folds}
        chosen = [by_field[name] for name in known("field", fields, list(by_field))]
        if bundle is not None:
            if sets or recipes or seeds:
                raise ValueError("a bundle says itself of which set, recipe and seed it is: give none of them with it")
            finished = Finished.find(bundle)
            known("set of the bundle", [finished.tiles], list(params.judged))
            return cls(params, chosen, [finished.tiles], [finished.recipe], [finished.seed], finished)
        named = list(recipes) or params.compared
        return cls(
            params,
            chosen,
            known("tile set", sets, list(params.judged)),
            known("recipe", named, list(params.recipes)),
            list(dict.fromkeys(seeds)) or params.seeds,
        )

    def stages(self) -> dict[str, Any]:
        """The stages of the folds' dvc.yaml."""
        sets, seeds, finished = {"set": self.sets}, {"seed": self.seeds}, self.finished is not None
        processes = [name for name in self.recipes if name in self.params.processes]
        painters = [name for name in self.recipes if name not in processes]
        matrices = {
            "tiles": {"set": list(self.params.tiles.sets)} if processes else sets,
            "controls": sets,
            "train": {**sets, "recipe": [] if finished else painters, **seeds},
            "train_process": {"recipe": [] if finished else processes, **seeds},
            "evaluate": {**sets, "recipe": self.recipes, **seeds},
        }
        return stages_of(matrices)

    def of_set(self, tiles: str, recipe: str) -> list[str]:
        """What is run before any training of a recipe on a tile set: a process needs all sets' tiles."""
        sets = self.params.tiles.sets if recipe in self.params.processes and not self.finished else [tiles]
        return [*(f"tiles@{name}" for name in sets), f"controls@{tiles}"]

    def of_training(self, tiles: str, recipe: str, seed: int) -> list[str]:
        """What is run for one training, and its evaluation on a tile set."""
        process = recipe in self.params.processes
        train = f"train_process@{recipe}-{seed}" if process else f"train@{tiles}-{recipe}-{seed}"
        return [*([] if self.finished else [train]), f"evaluate@{tiles}-{recipe}-{seed}"]

    def describe(self) -> Iterator[str]:
        """What would be run, a line a fold and one for its stages."""
        for fold in self.folds:
            yield f"{fold.test} tests, {fold.validation} chooses, the other fields train"
        run = list[str]()
        for tiles in self.sets:
            for recipe in self.recipes:
                run += self.of_set(tiles, recipe)
                run += [stage for seed in self.seeds for stage in self.of_training(tiles, recipe, seed)]
        yield f"in each fold: {', '.join(dict.fromkeys(run))}"
