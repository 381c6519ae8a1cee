import csv

import numpy as np
import pytest

from skygen.files import sha256_folder, write_json
from skygen.params import TileSetParams, TilesScale
from skygen.sky.camera import gain_e_per_count
from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import read_frame
from skygen.sky.manifest import Manifest, describe
from skygen.tiles.build import build_tile_set
from skygen.tiles.split import SPLITS
from skygen.tiles.store import TileStore

SHAPE, SIZE = (200, 264), 64
FIELDS = [FieldId(94, 1, number) for number in range(12, 17)]


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    monkeypatch.setattr("skygen.sky.frame.SHAPE", SHAPE)


@pytest.fixture
def frames(tmp_path, frame_bytes):
    """A function: a folder of frames of noise, with stars in it or not, and the manifest that their stage writes."""

    def write(available=tuple((field, band) for field in FIELDS for band in "gr"), stars=20):
        folder = tmp_path / "frames"
        folder.mkdir()
        rows = []
        for field, band in available:
            flux = noise_and_stars(field, stars)
            path = folder / frame_name(band, field, compressed=False)
            path.write_bytes(frame_bytes(path.name, flux))
            rows.append(describe(path, read_frame(path), "test"))
        write_json(folder / "manifest.json", Manifest(source="local", frames=rows, refused=[]).model_dump())
        return folder

    return write


def noise_and_stars(field, stars):
    rng = np.random.default_rng(field.field)
    flux = rng.normal(0, 0.025, SHAPE)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for x, y in rng.uniform(0, SHAPE[::-1], (stars, 2)):
        flux += 2.0 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2))
    return flux.astype(np.float32)


def tile_set(**changes):
    values = {
        "size": SIZE,
        "bands": ["g", "r"],
        "softening_nmgy": 0.2,
        "limit_nmgy": 100.0,
        "require_source": True,
        "source_snr": 10.0,
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
    }
    return TileSetParams(**{**values, **changes})


def build(folder, out, train=30, held_out=8, **changes):
    return build_tile_set(folder, out, "r64", tile_set(**changes), TilesScale(train=train, held_out=held_out))


def test_tiles_are_those_of_the_frames_that_the_manifest_names(tmp_path, frames):
    folder = frames()
    build(folder, tmp_path / "r64")
    store = TileStore.open(tmp_path / "r64")
    for row in store.manifest():
        x, y, field = int(row["x"]), int(row["y"]), FieldId(94, 1, int(row["field"]))
        for index, band in enumerate("gr"):
            flux = read_frame(folder / frame_name(band, field, compressed=False)).flux_nmgy
            tile = np.load(store.folder / row["shard"])[int(row["index"])]
            assert np.array_equal(tile[index], flux[y : y + SIZE, x : x + SIZE])


def test_no_field_is_in_two_splits_and_held_out_tiles_share_no_pixel(tmp_path, frames):
    card = build(frames(), tmp_path / "r64")
    rows = TileStore.open(tmp_path / "r64").manifest()
    fields = {split: {row["field"] for row in rows if row["split"] == split} for split in SPLITS}
    covered = {str(field): np.zeros(SHAPE, int) for field in FIELDS}
    for row in rows:
        if row["split"] != "train":
            x, y = int(row["x"]), int(row["y"])
            covered[f"94-1-{row['field']}"][y : y + SIZE, x : x + SIZE] += 1

    assert sum(len(found) for found in fields.values()) == len(FIELDS) == len(set.union(*fields.values()))
    assert {f"94-1-{number}" for number in fields["test"]} == set(card.fields["test"])
    assert max(count.max() for count in covered.values()) == 1


def test_every_training_field_gives_its_share(tmp_path, frames):
    build(frames(), tmp_path / "r64", train=31)
    rows = [row["field"] for row in TileStore.open(tmp_path / "r64").manifest() if row["split"] == "train"]
    shares = {rows.count(field) for field in rows}

    assert len(rows) >= 31
    assert shares <= {10, 11}


def test_a_held_out_split_has_at_most_the_tiles_asked_for(tmp_path, frames):
    build(frames(), tmp_path / "r64", held_out=9, validation=0.4, require_source=False)
    store = TileStore.open(tmp_path / "r64")

    assert len(store.card.fields["validation"]) == 2
    assert len(store.split("validation")) <= 9
    assert len(store.split("test")) == 9  # one field, whose grid has twelve places


def test_the_same_parameters_make_the_same_bytes_and_another_seed_others(tmp_path, frames):
    folder = frames()
    first, again, other = (
        build(folder, tmp_path / name, seed=seed) for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )

    assert sha256_folder(tmp_path / "first") == sha256_folder(tmp_path / "again")
    assert first.data_hash == again.data_hash != other.data_hash


def test_the_manifest_says_what_the_noise_model_needs(tmp_path, frames):
    build(frames(), tmp_path / "r64")
    with (tmp_path / "r64" / "manifest.csv").open(newline="") as stream:
        row = next(csv.DictReader(stream))

    assert float(row["sky_noise_g_nmgy"]) == pytest.approx(0.025, rel=0.05)
    assert float(row["gain_r_e_per_count"]) == gain_e_per_count(FIELDS[0], "r")
    assert float(row["nmgy_per_count_r"]) == 0.005
    assert float(row["dec_deg"]) == pytest.approx(-0.93, abs=0.2)


def test_a_field_that_lacks_a_band_is_left_out(tmp_path, frames):
    incomplete = [(field, band) for field in FIELDS for band in "gr" if (field, band) != (FIELDS[0], "g")]
    card = build(frames(incomplete), tmp_path / "r64")

    assert sorted(field for fields in card.fields.values() for field in fields) == [str(field) for field in FIELDS[1:]]


def test_too_few_complete_fields_are_refused(tmp_path, frames):
    folder = frames([(field, band) for field in FIELDS[:2] for band in "gr"])
    with pytest.raises(ValueError, match="2 complete fields; a split needs at least 3"):
        build(folder, tmp_path / "r64")


def test_survival_is_the_share_of_places_that_hold_a_source(tmp_path, frames):
    folder = frames(stars=3)
    with_source, anywhere = build(folder, tmp_path / "source"), build(folder, tmp_path / "any", require_source=False)

    assert all(0 < with_source.survival[split] < 1 for split in SPLITS)
    assert all(anywhere.survival[split] == 1 for split in SPLITS)


def test_a_sky_without_sources_is_refused_and_leaves_nothing(tmp_path, frames):
    folder = frames(stars=0)
    with pytest.raises(ValueError, match=r"tile set r64: no tile in train, validation, test; give more fields"):
        build(folder, tmp_path / "r64")
    assert not (tmp_path / "r64").exists()


def test_a_build_that_fails_leaves_the_former_store(tmp_path, frames):
    folder = frames()
    before = build(folder, tmp_path / "r64")
    (folder / frame_name("r", FIELDS[2], compressed=False)).write_bytes(b"")
    with pytest.raises(ValueError, match="the file is empty"):
        build(folder, tmp_path / "r64")

    assert TileStore.open(tmp_path / "r64").card == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "r64"]


def test_without_frames_there_is_no_tile_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
        build(tmp_path / "nowhere", tmp_path / "r64")
