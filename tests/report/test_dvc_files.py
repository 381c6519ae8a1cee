import pytest

from skygen.files import read_json
from skygen.report.dvc_files import EXCESSES, VALUES, curves, histograms, spectra, write_plots, write_scores
from tests.report.rows import rows

DISTRIBUTIONS = {
    name: {
        "histograms": {"number": {"edges": [-0.5, 0.5, 1.5], "share": [share, 1 - share]}},
        "spectra": {"r": {"cycles": [1, 2], "power": [share, 2 * share]}},
    }
    for name, share in {"real": 0.25, "gan": 0.5}.items()
}
HISTORIES = {
    "gan": [
        [{"images_seen": 32.0, "validation_score": 3.0, "generator_loss": 1.0}, {"images_seen": 64.0}],
        [{"images_seen": 32.0, "validation_score": 4.0}],
    ]
}


def test_a_curve_is_a_row_a_measurement_of_each_training():
    rows = [row for row in curves(HISTORIES) if row["recipe"] != "real"]

    assert [(row["recipe"], row["training"], row["images_seen"], row["value"]) for row in rows] == [
        ("gan", 0, 32.0, 3.0),
        ("gan", 1, 32.0, 4.0),
    ]
    assert {row["panel"] for row in rows} == {"validation score (1: as real)"}


def test_real_tiles_are_a_level_line_where_they_have_one_value():
    rows = [row for row in curves(HISTORIES) if row["recipe"] == "real"]

    assert {(row["images_seen"], row["value"]) for row in rows} == {(32.0, 1.0), (64.0, 1.0)}
    assert "pixel_w1 (0: as real)" not in {row["panel"] for row in rows}


def test_scores_are_a_file_a_recipe_of_ten_values_and_excesses(tmp_path):
    write_scores(tmp_path / "scores", "r64", {recipe: {"test": rows(0.25, "r")} for recipe in ("gan", "scene")})
    found = read_json(tmp_path / "scores/r64-scene.json")

    assert found == dict.fromkeys(VALUES, 0.25) | {f"excess.{key}": 2.5 for key in EXCESSES}
    assert len(found) == 10
    assert len(list((tmp_path / "scores").iterdir())) == 2


def test_a_score_without_an_excess_is_left_out(tmp_path):
    test = rows(0.25)
    test["kernel"] |= {"excess": None, "excess_interval": None}
    write_scores(tmp_path, "r64", {"gan": {"test": test}})

    assert "excess.kernel" not in read_json(tmp_path / "r64-gan.json")


def test_a_histogram_has_its_shares_at_the_middles_of_its_bins():
    rows = histograms(DISTRIBUTIONS)

    assert [(row["recipe"], row["middle"], row["value"]) for row in rows] == [
        ("real", 0, 0.25),
        ("real", 1, 0.75),
        ("gan", 0, 0.5),
        ("gan", 1, 0.5),
    ]


def test_bins_that_are_empty_for_all_are_left_out_at_the_ends_alone():
    shares = {"real": [0, 0.5, 0, 0.5, 0, 0], "gan": [0, 1, 0, 0, 0, 0]}
    found = {name: {"histograms": {"number": {"edges": list(range(7)), "share": of}}} for name, of in shares.items()}

    assert [row["middle"] for row in histograms(found) if row["recipe"] == "gan"] == [1.5, 2.5, 3.5]


def test_a_spectrum_has_the_power_of_every_ring():
    rows = [row for row in spectra(DISTRIBUTIONS) if row["recipe"] == "gan"]

    assert [(row["panel"], row["cycles_a_tile"], row["value"]) for row in rows] == [
        ("r band", 1, 0.5),
        ("r band", 2, 1.0),
    ]


def test_every_row_of_a_file_has_the_same_columns_which_dvc_asks_for(tmp_path):
    write_plots(tmp_path / "plots", "r64", DISTRIBUTIONS, HISTORIES)

    for name, x in {"curves": "images_seen", "spectra": "cycles_a_tile", "histograms": "middle"}.items():
        rows = read_json(tmp_path / f"plots/r64-{name}.json")
        assert {tuple(row) for row in rows} == {("recipe", "training", "panel", x, "value")}


def test_unequal_columns_are_an_error_and_no_short_file(tmp_path):
    broken = {"gan": {"histograms": {}, "spectra": {"r": {"cycles": [1], "power": [1.0, 2.0]}}}}

    with pytest.raises(ValueError, match="longer"):
        write_plots(tmp_path / "plots", "r64", broken, HISTORIES)
    assert not (tmp_path / "plots/r64-spectra.json").exists()
