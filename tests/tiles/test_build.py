from itertools import combinations

import numpy as np
import pyarrow.compute as pc
import pytest
from astropy.coordinates import SkyCoord

from skygen.files import sha256_folder
from skygen.params import HoldOutParams, TilesScale
from skygen.sky.ccd import gain_e_per_count
from skygen.sky.conditions import Density
from skygen.sky.field import FieldId, frame_name, sources_name
from skygen.sky.frame import read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.defects import DEFECT
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.inspect import write_inspection
from skygen.sky.manifest import Manifest, describe
from skygen.sky.noise import sky_noise
from skygen.sky.readout import HALVES
from skygen.sky.simulation.simulate import View, simulate_views
from skygen.tiles.build import build_tile_set, check_splits_agree
from skygen.tiles.manifest import read_manifest
from skygen.tiles.store import SPLITS, TileStore

SHAPE, SIZE = (200, 264), 64
FIELDS = [FieldId(94, 1, number) for number in range(12, 17)]
ALL = [(field, band) for field in FIELDS for band in "gr"]


@pytest.fixture
def build(tile_set):
    def build(folder, out, train=10, held_out=8, **changes):
        scale = TilesScale(train_a_field=train, held_out_a_field=held_out)
        return build_tile_set(folder, out, "r64", tile_set(**changes), scale).card

    return build


def rows_of(folder):
    return read_manifest(folder).to_pylist()


def readout_of(row):
    return f"94-1-{row['field']}/{'left' if row['x'] + SIZE // 2 < SHAPE[1] // 2 else 'right'}"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_tiles_are_those_of_the_frames_that_the_manifest_names(tmp_path, frames, build, dtype):
    folder = frames()
    build(folder, tmp_path / "r64", dtype=dtype)
    rows = rows_of(tmp_path / "r64")
    store = TileStore.open(tmp_path / "r64")
    for row in rows:
        x, y, field = row["x"], row["y"], FieldId(94, 1, row["field"])
        for index, band in enumerate("gr"):
            flux = read_frame(folder / frame_name(band, field, compressed=False)).flux_nmgy
            tile = np.load(store.folder / row["shard"])[row["index"]]
            assert np.array_equal(tile[index], flux[y : y + SIZE, x : x + SIZE].astype(dtype))
    for split in SPLITS:
        assert store.split(split).fields() == [f"94-1-{row['field']}" for row in rows if row["split"] == split]
        assert store.split(split).readouts() == [readout_of(row) for row in rows if row["split"] == split]


def test_no_field_is_in_two_splits_and_held_out_tiles_share_no_pixel(tmp_path, frames, build):
    card = build(frames(), tmp_path / "r64")
    rows = rows_of(tmp_path / "r64")
    fields = {split: {row["field"] for row in rows if row["split"] == split} for split in SPLITS}
    covered = {field.field: np.zeros(SHAPE, int) for field in FIELDS}
    for row in rows:
        if row["split"] != "train":
            covered[row["field"]][row["y"] : row["y"] + SIZE, row["x"] : row["x"] + SIZE] += 1

    assert sum(len(found) for found in fields.values()) == len(FIELDS) == len(set.union(*fields.values()))
    assert {f"94-1-{number}" for number in fields["test"]} == set(card.fields["test"])
    assert max(count.max() for count in covered.values()) == 1


def test_training_tiles_lie_anywhere_or_on_a_grid(tmp_path, frames, build):
    folder = frames()
    build(folder, tmp_path / "random")
    build(folder, tmp_path / "grid", places="grid")

    def on_grid(name):
        return [row["x"] % SIZE == row["y"] % SIZE == 0 for row in rows_of(tmp_path / name) if row["split"] == "train"]

    assert sum(on_grid("random")) < 3
    assert all(on_grid("grid"))


def test_a_field_gives_at_most_the_tiles_asked_for(tmp_path, frames, build):
    build(frames(), tmp_path / "r64", train=31, held_out=9, require_source=False)
    store = TileStore.open(tmp_path / "r64")
    given = {split: [n for shard in store.card.shards[split] for n in shard.fields.values()] for split in SPLITS}

    assert given == {"train": [31] * 3, "validation": [9], "test": [9]}


@pytest.mark.parametrize("drop", [[], ["trail"]])
def test_a_held_out_field_gives_all_that_its_grid_has_where_no_limit_is_set(tmp_path, frames, build, drop):
    trail = ("g", "trail", 0.0, 100.0, 263.0, 100.0, 3.0)  # along the second of the grid's three rows
    folder = frames(spoilt=[trail])
    card = build(folder, tmp_path / "r64", held_out=None, require_source=False, drop=drop)

    assert {split: [n for shard in card.shards[split] for n in shard.fields.values()] for split in SPLITS} == {
        "train": [10] * 3,
        "validation": [8 if drop else 12],
        "test": [8 if drop else 12],
    }


def test_a_fields_tiles_are_the_same_whatever_others_there_are(tmp_path, frames, write_frames, build):
    more = [*ALL, *((FieldId(94, 1, number), band) for number in (17, 18, 19) for band in "gr")]
    build(frames(), tmp_path / "few")
    build(write_frames(tmp_path / "more", more), tmp_path / "many")

    def tiles_of(name):
        store = TileStore.open(tmp_path / name)
        return {
            (split, field): store.split(split).batch(
                [index for index, of in enumerate(store.split(split).fields()) if of == field]
            )
            for split in SPLITS
            for field in store.card.fields[split]
        }

    few, many = tiles_of("few"), tiles_of("many")
    both = few.keys() & many.keys()
    assert len(both) >= 4
    assert all(np.array_equal(few[key], many[key]) for key in both)


def test_the_same_parameters_make_the_same_bytes_and_another_seed_others(tmp_path, frames, build):
    folder = frames()
    first, again, other = (
        build(folder, tmp_path / name, seed=seed) for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )

    assert sha256_folder(tmp_path / "first") == sha256_folder(tmp_path / "again")
    assert first.data_hash == again.data_hash != other.data_hash


def test_the_manifest_says_what_the_noise_model_needs(tmp_path, frames, build):
    build(frames(), tmp_path / "r64")
    table = read_manifest(tmp_path / "r64")
    rows = table.to_pylist()
    row = rows[0]

    assert table.column_names == [
        *("split", "shard", "index", "run", "camcol", "field", "x", "y", "ra_deg", "dec_deg"),
        *("trail", "halo", "saturated", "masked"),
        *("sky_noise_g_nmgy", "gain_g_e_per_count", "nmgy_per_count_g", "psf_fwhm_g_arcsec"),
        *("sky_noise_r_nmgy", "gain_r_e_per_count", "nmgy_per_count_r", "psf_fwhm_r_arcsec"),
    ]
    noise = {"left": 0.025, "right": 0.03}  # of the half that the tile's centre lies in
    assert all(row["sky_noise_g_nmgy"] == noise[readout_of(row).partition("/")[2]] for row in rows)
    assert {row["sky_noise_r_nmgy"] for row in rows} == {0.025, 0.03}
    assert row["gain_r_e_per_count"] == gain_e_per_count(FIELDS[0], "r")
    assert row["nmgy_per_count_r"] == pytest.approx(0.005)
    assert row["psf_fwhm_r_arcsec"] == 1.3


@pytest.mark.parametrize("bands", [["g", "r"], ["r", "g"]])
def test_the_card_has_the_conditions_of_every_readout_in_the_order_of_its_bands(tmp_path, frames, build, bands):
    card = build(frames(), tmp_path / "r64", bands=bands)
    rows = {readout_of(row): row for row in rows_of(tmp_path / "r64")}

    assert card.conditions.keys() == rows.keys() == {f"{field}/{half}" for field in FIELDS for half in HALVES}
    for readout, of_bands in card.conditions.items():
        for band, observed in zip(bands, of_bands, strict=True):
            row = rows[readout]
            electron = row[f"nmgy_per_count_{band}"] / row[f"gain_{band}_e_per_count"]
            assert observed.sky_noise_nmgy == row[f"sky_noise_{band}_nmgy"]
            assert observed.nmgy_per_electron == pytest.approx(electron, rel=1e-12)
            assert observed.psf_fwhm_arcsec == row[f"psf_fwhm_{band}_arcsec"]
    electrons = [observed.nmgy_per_electron for observed in card.conditions["94-1-12/left"]]
    assert electrons[0] != electrons[1]  # so that their order shows


def test_the_card_has_the_densities_of_every_field(tmp_path, frames, build):
    card = build(frames(), tmp_path / "r64")

    assert card.densities == {str(field): Density(stars=1.2, galaxies=0.8) for field in FIELDS}


def test_sets_of_other_bands_and_sizes_hold_out_the_same_fields(tmp_path, frames, build, tile_set):
    folder = frames()
    sets = {
        "r64": {"bands": ["r"]},
        "sky": {"bands": ["g", "r"], "require_source": False, "drop": ["trail", "masked"]},
    }
    check_splits_agree(folder, {name: tile_set(**changes) for name, changes in sets.items()})
    first, second = (build(folder, tmp_path / name, **changes) for name, changes in sets.items())

    assert first.fields == second.fields


def test_sets_that_would_hold_out_other_fields_are_refused(frames, tile_set):
    held_out = FieldId(94, 1, 13)  # tests, and in its place another would, which trains by the other set
    folder = frames([(field, band) for field, band in ALL if (field, band) != (held_out, "g")])
    sets = {"r64": tile_set(bands=["r"]), "sky": tile_set(bands=["g", "r"])}

    with pytest.raises(
        ValueError, match=r"field 94-1-14 is of test in tile set sky, but of train in r64: some fields lack"
    ):
        check_splits_agree(folder, sets)
    check_splits_agree(folder, {"r64": sets["r64"], "u64": tile_set(bands=["u", "r"])})  # which cannot be built


def test_a_tiles_place_on_the_sky_is_that_of_its_middle(tmp_path, frames, build):
    folder = frames()
    build(folder, tmp_path / "r64")
    for row in rows_of(tmp_path / "r64"):
        wcs = read_frame(folder / frame_name("r", FieldId(94, 1, row["field"]), compressed=False)).wcs
        place = [float(value) for value in wcs.all_pix2world(row["x"] + 31.5, row["y"] + 31.5, 0)]
        assert [row["ra_deg"], row["dec_deg"]] == pytest.approx(place, abs=1e-9)


def test_flagged_tiles_are_dropped_or_marked(tmp_path, frames, build):
    trail = [("g", "trail", 0.0, 100.0, 263.0, 100.0, 3.0), ("r", "saturated", 200.0, 20.0, 200.0, 20.0, 5.0)]
    folder = frames(spoilt=trail)
    dropped, kept = build(folder, tmp_path / "dropped"), build(folder, tmp_path / "kept", drop=[])

    for row in rows_of(tmp_path / "dropped"):
        assert not row["trail"]
        assert row["y"] > 103 or row["y"] + 63 < 97
    for row in rows_of(tmp_path / "kept"):
        assert row["trail"] == (97 - 63 <= row["y"] <= 103)
        assert row["saturated"] == ((row["x"] - 200) * (row["x"] + 63 - 200) <= 0 and row["y"] <= 20)
    assert all(dropped.survival[split].spoilt["trail"] > 0.3 for split in SPLITS)
    assert set(dropped.survival["test"].spoilt) == {"outside", "trail", "halo", "masked", "no source"}
    assert set(kept.survival["test"].spoilt) == {"outside", "no source"}


def test_fields_are_held_out_by_name_whatever_the_shares_say(tmp_path, frames, build):
    named = HoldOutParams(validation=["94-1-14", "94-1-12"], test=["94-1-16"])
    card = build(frames(), tmp_path / "r64", hold_out=named)

    assert card.fields == {
        "train": ["94-1-13", "94-1-15"],
        "validation": ["94-1-12", "94-1-14"],
        "test": ["94-1-16"],
    }
    assert {split: set(TileStore.open(tmp_path / "r64").split(split).fields()) for split in SPLITS} == {
        split: set(fields) for split, fields in card.fields.items()
    }


def test_a_field_that_shares_sky_with_one_held_out_by_name_is_left_out(tmp_path, frames, build):
    places = {field: (10.0 * number, 1.0) for number, field in enumerate(FIELDS)} | {FIELDS[1]: (0.1, 1.0)}
    named = HoldOutParams(validation=["94-1-12"], test=["94-1-16"])
    card = build(frames(places=places), tmp_path / "r64", hold_out=named)

    assert card.fields["train"] == ["94-1-14", "94-1-15"]
    assert card.left_out["shares sky"] == ["94-1-13"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("94-2-1", "hold_out names 94-2-1, of which there are no frames; there are 94-1-12, 94-1-13, 94-1-14, 94-1-15"),
        ("94-1-12", "hold_out names 94-1-12, which lacks g; supply its frames, or .*: complete are 94-1-13, 94-1-14"),
    ],
)
def test_a_field_to_be_held_out_that_is_not_there_whole_is_refused(tmp_path, frames, build, name, message):
    folder = frames([pair for pair in ALL if pair != (FIELDS[0], "g")])
    with pytest.raises(ValueError, match=message):
        build(folder, tmp_path / "r64", hold_out=HoldOutParams(validation=[name], test=["94-1-16"]))
    assert not (tmp_path / "r64").exists()


def test_a_field_that_lacks_a_band_is_left_out(tmp_path, frames, build):
    card = build(frames([pair for pair in ALL if pair != (FIELDS[0], "g")]), tmp_path / "r64")

    assert sorted(field for fields in card.fields.values() for field in fields) == [str(field) for field in FIELDS[1:]]
    assert card.left_out == {"lacks a band": ["94-1-12"], "shares sky": []}


def test_too_few_complete_fields_are_refused(tmp_path, frames, build):
    folder = frames([(field, band) for field in FIELDS[:2] for band in "gr"])
    with pytest.raises(ValueError, match="2 complete fields; a split needs at least 3"):
        build(folder, tmp_path / "r64")


def test_survival_is_the_share_of_places_that_hold_a_source(tmp_path, frames, build):
    folder = frames(stars=3)
    with_source, anywhere = build(folder, tmp_path / "source"), build(folder, tmp_path / "any", require_source=False)

    for split in SPLITS:
        found = with_source.survival[split]
        assert 0 < found.kept < 1
        assert found.spoilt["no source"] == pytest.approx(1 - found.kept)
        assert anywhere.survival[split].kept == 1
    assert with_source.survival["test"].tried == 12  # the places of the grid
    assert with_source.survival["train"].tried == 3 * 16 * 10


def test_a_sky_without_sources_is_refused_and_leaves_the_former_store(tmp_path, frames, build):
    build(frames(), tmp_path / "r64")
    before = sha256_folder(tmp_path / "r64")
    with pytest.raises(ValueError, match=r"tile set r64: no tile in train, validation, test; give more fields"):
        build(frames(stars=0), tmp_path / "r64")
    assert sha256_folder(tmp_path / "r64") == before


def test_a_field_without_a_tile_is_no_harm(tmp_path, frames, inspection, build):
    folder = frames()
    build(folder, tmp_path / "before")
    empty = FieldId.parse(TileStore.open(tmp_path / "before").card.fields["train"][0])
    nothing = inspection(detect(np.zeros(SHAPE), 0.025, 5.0), np.zeros(0, DEFECT), "gr")
    write_inspection(folder / sources_name(empty), nothing, empty)
    card = build(folder, tmp_path / "r64")

    assert sum(shard.fields.get(str(empty), 0) for shard in card.shards["train"]) == 0
    assert str(empty) in card.fields["train"]
    assert len(TileStore.open(tmp_path / "r64").split("train")) == 20


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / frame_name("r", FIELDS[2], compressed=False)).write_bytes(b""), "the file is empty"),
        (lambda folder: (folder / sources_name(FIELDS[2])).write_bytes(b"x" * 99), r"sources-000094-1-0014\.fits is"),
        (lambda folder: (folder / sources_name(FIELDS[2])).unlink(), r"sources-000094-1-0014\.fits"),
    ],
)
def test_a_build_that_fails_leaves_the_former_store_and_can_be_gone_on_with(tmp_path, frames, build, spoil, message):
    folder = frames()
    before = build(folder, tmp_path / "r64")
    spoil(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(folder, tmp_path / "r64")

    assert TileStore.open(tmp_path / "r64").card == before
    frames()
    assert build(folder, tmp_path / "r64") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "r64"]


def test_without_frames_there_is_no_tile_set(tmp_path, build):
    with pytest.raises(FileNotFoundError, match=r"frames\.parquet"):
        build(tmp_path / "nowhere", tmp_path / "r64")


@pytest.fixture
def overlapping(tmp_path, monkeypatch, inspection):
    """Frames in r of six simulated skies, each seen by four fields: two that share rows, and two of another night."""
    shape = (320, 300)
    monkeypatch.setattr("skygen.sky.frame.SHAPE", shape)
    folder, rows = tmp_path / "frames", []
    folder.mkdir()
    for index in range(6):
        names = [FieldId(1000 + 10 * index + number, 1, 11) for number in range(4)]
        shifts = [(0.0, 0.0), (0.0, 200.0), (3.3, 5.6), (-40.0, 190.0)]
        views = [View(name, *shift) for name, shift in zip(names, shifts, strict=True)]
        for name, seen in zip(names, simulate_views(0, index, views, shape), strict=True):
            frame = next(frame for frame in seen if frame.band == "r")
            path, noise = folder / frame_name("r", name, compressed=False), float(sky_noise(frame.flux_nmgy))
            write_frame(path, frame, "test")
            found = inspection(detect(frame.flux_nmgy, noise, 5.0), np.zeros(0, DEFECT), "r", noise)
            write_inspection(folder / sources_name(name), found, name)
            rows.append(describe(path, frame, "test", found))
    Manifest("simulated", rows, []).write(folder)
    return folder


def test_no_sky_is_in_two_splits(tmp_path, overlapping, build):
    card = build(overlapping, tmp_path / "r64", bands=["r"], train=60, held_out=20, require_source=False)
    table = read_manifest(tmp_path / "r64")
    diagonal_deg = np.hypot(SIZE, SIZE) * 0.396 / 3600
    places = {split: sky_of(table.filter(pc.equal(table["split"], split))) for split in SPLITS}

    assert all(len(places[split]) >= 20 for split in SPLITS)
    for one, other in combinations(SPLITS, 2):
        assert places[one].match_to_catalog_sky(places[other])[1].deg.min() > 10 * diagonal_deg
    # The test can fail: fields of one sky, which a split by field would part, show each other's sky within a split.
    for split in SPLITS:
        skies = {int(field.split("-")[0]) // 10 for field in card.fields[split]}
        assert len(card.fields[split]) == 4 * len(skies)
        nights = [places[split][field_of(table, split) == int(field.split("-")[0])] for field in card.fields[split]]
        first, again = nights[0], nights[2]
        assert first.match_to_catalog_sky(again)[1].deg.min() < 0.5 * diagonal_deg
    assert card.left_out["shares sky"] == []


def sky_of(table):
    return SkyCoord(table["ra_deg"].to_numpy(), table["dec_deg"].to_numpy(), unit="deg")


def field_of(table, split):
    return table.filter(pc.equal(table["split"], split))["run"].to_numpy()
