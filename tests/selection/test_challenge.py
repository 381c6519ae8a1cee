"""Challenges of real bundles: who takes the place of the standing champion, and who must not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skygen.bundle.bundle import Bundle
from skygen.evaluation.bundle import Evaluation
from skygen.evaluation.control_values import ControlValues, measure_controls
from skygen.evaluation.controls import held_out
from skygen.evaluation.scoring import entries
from skygen.files import read_json, sha256_folder, write_json
from skygen.gan.card import CARD, BundleError
from skygen.measure.metric import Given
from skygen.measure.table import measures_of
from skygen.params import ChampionParams
from skygen.selection.challenge import Contender, ValidationTiles, Verdict, challenge
from skygen.selection.comparison import GATES as GATED
from skygen.selection.comparison import flaws
from skygen.sky.conditions import Density
from skygen.tiles.store import TileStore
from tests.selection.altered import Change, altered, brighten, collapse, deal_anew, spoil, write_sky

GATES = ChampionParams(least_diversity=0.3, most_memorised=0.9, sky_noise=[0.9, 1.1])


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Any]) -> Path:
    """The bundle whose tiles are the sky here."""
    folder = tmp_path_factory.mktemp("perfect") / "bundle"
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def validation(
    tmp_path_factory: pytest.TempPathFactory, perfect: Path, write_fields: Callable[..., TileStore]
) -> ValidationTiles:
    """The sky of the perfect bundle's tiles."""
    store, eye, features = write_sky(tmp_path_factory.mktemp("validation") / "r64", perfect, write_fields)
    return ValidationTiles(store, eye, features, seed=0, halvings=200)


@pytest.fixture
def bundle(tmp_path: Path, perfect: Path) -> Callable[..., Contender]:
    """A function: the perfect bundle with a change to its weights, or to its card, under a name of its own."""

    def make(name: str, change: Change = lambda _: None, **card: object) -> Contender:
        folder = altered(perfect, tmp_path / name, change, **card)
        return Contender(name, sha256_folder(folder), folder)

    return make


@pytest.fixture
def meet(validation: ValidationTiles) -> Callable[..., Verdict]:
    """A function: the verdict on a challenger, whose flaws are those that validation finds."""

    def judge(challenger: Contender, standing: Contender | None) -> Verdict:
        assert challenger.folder is not None
        found = flaws(validation.measure(Bundle.load(challenger.folder)).gates, GATES)
        return challenge(challenger, found, standing, validation, GATES)

    return judge


def test_whoever_comes_first_stands_and_its_flaws_are_said(bundle, meet) -> None:
    assert meet(bundle("sound"), None) == Verdict(True, "sound is the first champion")
    verdict = meet(bundle("flat", collapse), None)
    assert verdict.replaces
    assert verdict.reason.startswith("flat is the first champion, though it collapsed (diversity ")


def test_the_standing_champion_itself_changes_nothing(bundle, meet) -> None:
    sound = bundle("sound")

    assert meet(sound, sound) == Verdict(False, "sound stands already; nothing changes")


def test_the_same_weights_under_another_hash_do_not_replace(bundle, meet) -> None:
    verdict = meet(bundle("twin"), bundle("sound"))

    assert not verdict.replaces
    assert verdict.numbers["difference"] == "0"
    assert verdict.numbers["interval"] == "[0, 0]"


@pytest.mark.parametrize("first", ["sound", "dealt"])
def test_one_as_good_with_other_chance_does_not_replace_whoever_stood_first(first, bundle, meet) -> None:
    sound, dealt = bundle("sound"), bundle("dealt", deal_anew)
    verdict = meet(*((dealt, sound) if first == "sound" else (sound, dealt)))

    assert not verdict.replaces
    assert "not below 0" in verdict.reason
    assert float(verdict.numbers["difference"]) != 0


def test_a_clearly_better_one_replaces_and_the_worse_one_does_not_come_back(bundle, meet) -> None:
    sound, bright = bundle("dealt", deal_anew), bundle("bright", brighten)
    better, worse = meet(sound, bright), meet(bright, sound)

    assert better.replaces
    assert better.reason.startswith("dealt replaces bright: kernel ")
    assert float(better.numbers["kernel"]) < float(better.numbers["standing_kernel"])
    assert (better.numbers["encoder"], better.numbers["difference"][0]) == ("eye", "-")
    assert not worse.replaces
    assert float(worse.numbers["difference"]) == pytest.approx(-float(better.numbers["difference"]))


@pytest.mark.parametrize("standing", ["sound", "flat", "damaged", "lost"])
def test_a_collapsed_one_takes_nobody_s_place(standing, bundle, meet) -> None:
    others = {"sound": bundle("sound"), "flat": bundle("flat", collapse), "damaged": bundle("damaged")}
    others["lost"] = Contender("lost", "0" * 64, None)
    (others["damaged"].folder / CARD).write_text("{")
    verdict = meet(bundle("challenger", collapse), others[standing])

    assert not verdict.replaces
    assert verdict.reason.startswith(f"challenger does not replace {standing}, for it collapsed (diversity ")


def test_a_standing_one_that_fails_a_gate_gives_way(bundle, meet) -> None:
    verdict = meet(bundle("bright", brighten), bundle("flat", collapse))

    assert verdict.replaces
    assert verdict.reason.startswith("bright replaces flat, which today collapsed (diversity ")
    assert "standing_kernel" in verdict.numbers


def test_a_standing_one_whose_files_were_changed_gives_way(bundle, meet) -> None:
    standing = bundle("changed")
    write_json(standing.folder / CARD, read_json(standing.folder / CARD) | {"seed": 7})
    verdict = meet(bundle("bright", brighten), standing)

    assert verdict == Verdict(
        True, "bright replaces changed, which cannot be loaded: its files are not those that were registered"
    )


def test_a_standing_one_of_another_time_that_cannot_be_loaded_gives_way(bundle, meet) -> None:
    verdict = meet(bundle("bright", brighten), bundle("old", unknown_key=1))

    assert verdict.replaces
    assert "which cannot be loaded: card.json: unknown_key: unknown key" in verdict.reason


def test_a_standing_one_whose_files_are_lost_gives_way(bundle, meet) -> None:
    verdict = meet(bundle("bright", brighten), Contender("version 3", "0" * 64, None))

    assert verdict == Verdict(True, "bright replaces version 3, which cannot be loaded: its files are lost")


def test_a_standing_one_with_other_tiles_gives_way(bundle, meet, tmp_path, write_bundle) -> None:
    write_bundle(tmp_path / "wide", size=128)
    wide = Contender("wide", sha256_folder(tmp_path / "wide"), tmp_path / "wide")
    verdict = meet(bundle("bright", brighten), wide)

    assert verdict.replaces
    assert verdict.reason.startswith("bright replaces wide, which cannot be compared: the bundle makes tiles of 128 px")


def test_a_standing_one_whose_tiles_are_not_numbers_gives_way(bundle, meet) -> None:
    verdict = meet(bundle("bright", brighten), bundle("spoilt", spoil))

    assert verdict.replaces
    assert "which cannot be compared: generated tiles hold NaN" in verdict.reason


def test_the_standing_one_is_registered_anew_where_its_copy_is_damaged(bundle, meet) -> None:
    sound = bundle("sound")
    verdict = meet(sound, Contender("version 1", sound.sha256, None))

    assert verdict.replaces
    assert verdict.reason.startswith("sound stands already and is registered anew: ")


def test_a_challenger_that_cannot_be_measured_replaces_nobody(bundle, validation) -> None:
    spoilt, lost = bundle("spoilt", spoil), Contender("gone", "1" * 64, None)

    with pytest.raises(ValueError, match="generated tiles hold NaN"):
        challenge(spoilt, [], bundle("sound"), validation, GATES)
    with pytest.raises(BundleError, match="its files are lost"):
        challenge(lost, [], bundle("other"), validation, GATES)


def test_bundles_are_measured_as_the_stage_evaluate_measures_them(
    sky_store, encoder, train_features, tmp_path, write_bundle
) -> None:
    card = write_bundle(tmp_path / "scene", recipe="scene")
    bundle, held = Bundle.load(tmp_path / "scene"), held_out(sky_store, "validation", 3, 20)
    measures = [
        row for row in measures_of(Given(card.bands, encoder.encode, 3, train_features)) if row.keys != ("c2st.pixels",)
    ]
    controls = measure_controls(sky_store, held, measures, encoder, train_features, 3).controls
    control_values = ControlValues(
        encoder=encoder.sha256,
        data=sky_store.card.data_hash,
        seed=3,
        halvings=20,
        validation=controls,
        test=controls,
    )
    section = Evaluation(sky_store, control_values, measures).measure(bundle, held).section
    found = {key: metric["value"] for key, metric in entries(section)}
    measured = ValidationTiles(sky_store, encoder, train_features, seed=3, halvings=20).measure(bundle)

    assert measured.ranked.mean() == pytest.approx(found["kernel"], rel=1e-5)
    assert measured.gates == pytest.approx({key: found[key] for key in GATED}, rel=1e-5)


def test_the_diversity_of_scenes_is_measured_without_their_noise(tmp_path, write_bundle, validation) -> None:
    """One scene under fresh noise is a collapse, which the noise would hide."""
    empty = [Density(stars=1e-9, galaxies=1e-9)] * 2
    write_bundle(tmp_path / "scene", recipe="scene", densities=empty, require_source=False)

    assert validation.measure(Bundle.load(tmp_path / "scene")).gates["diversity"] < 1e-4
