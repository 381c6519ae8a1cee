import copy
import math
import runpy
from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from skygen.params import Params, ParamsError, load, validate

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "params.yaml"
RAW = YAML(typ="safe").load(SHIPPED)
LEAVE_OUT = object()


def changed(key, value):
    raw = copy.deepcopy(RAW)
    *path, last = key.split(".")
    section = raw
    for part in path:
        section = section[part]
    if value is LEAVE_OUT:
        del section[last]
    else:
        section[last] = value
    return raw


def refusal(raw):
    with pytest.raises(ParamsError) as caught:
        validate(Params, raw, "params.yaml")
    return str(caught.value)


def test_the_shipped_file_is_read_as_it_is_written():
    params = load(SHIPPED)

    assert params.chosen == params.scales[params.scale]
    assert params.model_dump(mode="json") == RAW


def test_the_chosen_section_follows_the_switch():
    params = validate(Params, changed("scale", "paper"), "params.yaml")

    assert params.chosen.training["r64"].iterations == 20_000
    assert params.chosen.tiles["gri128"].train_a_field == 250


@pytest.mark.parametrize(
    ("key", "value", "legal"),
    [
        ("scale", "desktop", "'laptop', 'workstation' or 'paper'"),
        ("seeds", [], "at least 1 item"),
        ("compared", [], "at least 1 item"),
        ("frames.source", "web", "'simulated', 'sdss' or 'local'"),
        ("frames.min_fields", 2, "greater than or equal to 3"),
        ("frames.sdss.choose", "all", "'fields', 'region' or 'selection'"),
        ("frames.sdss.fields", [], "at least 1 item"),
        ("frames.sdss.connections", 17, "less than or equal to 16"),
        ("frames.sdss.timeout_s", 0.0, "greater than 0"),
        ("frames.sdss.selection.score", 1.5, "less than or equal to 1"),
        ("tiles.r64.size", 96, "64 or 128"),
        ("tiles.r64.size", "64", "64 or 128"),
        ("tiles.r64.bands", [], "at least 1 item"),
        ("tiles.r64.softening_nmgy", 0.0, "greater than 0"),
        ("tiles.r64.softening_nmgy", math.nan, "finite number"),
        ("tiles.r64.limit_nmgy", math.inf, "finite number"),
        ("tiles.r64.require_source", "yes", "valid boolean"),
        ("tiles.r64.source_snr", 4.9, "greater than or equal to 5"),
        ("tiles.r64.dtype", "bfloat16", "'float16' or 'float32'"),
        ("tiles.r64.places", "anywhere", "'random' or 'grid'"),
        ("tiles.r64.validation", 0.5, "less than 0.5"),
        ("tiles.r64.test", 0.0, "greater than 0"),
        ("tiles.r64.hold_out", {"validation": ["94-1-12"], "test": ["0094-1-012"]}, "0094-1-012 is named again"),
        ("tiles.r64.hold_out", {"validation": ["94-1-12"] * 2, "test": ["94-1-13"]}, "94-1-12 is named again"),
        ("tiles.r64.hold_out", "94-1-12", "valid dictionary"),
        ("scales.laptop.frames.fields", 2, "greater than or equal to 3"),
        ("scales.laptop.tiles.r64.held_out_a_field", 7, "greater than or equal to 8"),
        ("scales.laptop.tiles.r64.train_a_field", None, "valid integer"),
        ("scales.laptop.training.r64.batch", 1, "greater than or equal to 2"),
        ("scales.laptop.training.r64.iterations", 1.5, "valid integer"),
        ("scales.laptop.training.r64.dropout_factor", 1.1, "less than or equal to 1"),
        ("encoder.sets.r64.batch", 1, "greater than or equal to 2"),
        ("encoder.fields", 2, "greater than or equal to 3"),
        ("scales.laptop.evaluation.halvings", 9, "greater than or equal to 10"),
        ("encoder.features", 4, "greater than or equal to 8"),
        ("evaluation.champion.most_memorised", 0.4, "greater than or equal to 0.5"),
        ("evaluation.champion.sky_noise", [1.1, 1.2], "it must be two bounds around 1"),
    ],
)
def test_a_value_that_is_not_legal_is_named_with_its_key_and_what_is(key, value, legal):
    message = refusal(changed(key, value))

    assert message.startswith(f"params.yaml: {key} = {value!r}: ")
    assert legal in message


@pytest.mark.parametrize(
    ("seed", "legal"),
    [(-1, "greater than or equal to 0"), (2**63, "less than 9223372036854775808"), (True, "valid integer")],
)
def test_an_entry_of_a_list_is_named_by_its_place(seed, legal):
    message = refusal(changed("seeds", [0, seed]))

    assert message.startswith(f"params.yaml: seeds.1 = {seed!r}: ")
    assert legal in message


@pytest.mark.parametrize(
    ("hold_out", "words"),
    [
        ({"validation": [], "test": ["94-1-12"]}, "tiles.r64.hold_out.validation = []: List should have at least 1"),
        ({"validation": ["94-1-12"]}, "tiles.r64.hold_out.test: missing"),
        ({"validation": ["94-1-12"], "test": ["94-7-1"]}, "tiles.r64.hold_out.test.0 = '94-7-1': "),
        ({"validation": ["94-1-12"], "test": ["94-1-13"], "train": []}, "tiles.r64.hold_out.train: unknown key"),
    ],
)
def test_held_out_fields_are_named_in_both_lists(hold_out, words):
    assert words in refusal(changed("tiles.r64.hold_out", hold_out))


@pytest.mark.parametrize("name", ["94-7-1", "94-1", "fields", "1000000-1-1"])
def test_a_field_that_is_no_run_camcol_field_is_named(name):
    message = refusal(changed("frames.sdss.fields", ["94-1-12", name]))

    assert message.startswith(f"params.yaml: frames.sdss.fields.1 = {name!r}: ")


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ({"ra_deg": [1.0, 2.0], "dec_deg": [3.0, 2.0]}, "dec_deg must ascend"),
        ({"ra_deg": [1.0], "dec_deg": [2.0, 3.0]}, "region.box.ra_deg"),
        ({"ra_deg": 360.0, "dec_deg": 0.0, "radius_deg": 1.0}, "region.circle.ra_deg = 360.0"),
        ({"ra_deg": 10.0, "dec_deg": 0.0}, "region.circle.radius_deg: missing"),
        ("everywhere", "region.circle"),
    ],
)
def test_a_region_is_a_circle_or_a_box(region, words):
    assert words in refusal(changed("frames.sdss.region", region))


def test_a_box_may_cross_right_ascension_zero():
    box = {"ra_deg": [359.0, 1.0], "dec_deg": [-1.0, 1.0]}

    assert validate(Params, changed("frames.sdss.region", box), "").frames.sdss.region.ra_deg == [359.0, 1.0]


@pytest.mark.parametrize("key", ["colour", "frames.url", "tiles.r64.colour", "scales.paper.training.gri128.momentum"])
def test_an_unknown_key_is_named(key):
    message = refusal(changed(key, "blue"))

    assert f"{key}: unknown key (value 'blue')" in message


@pytest.mark.parametrize("key", ["scale", "frames.folder", "tiles.gri128.seed", "scales.laptop.training.r64.width"])
def test_a_missing_key_is_named(key):
    assert f"{key}: missing" in refusal(changed(key, LEAVE_OUT))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tiles.r64.bands", ["g", "i"], "bands must be distinct and hold r"),
        ("tiles.r64.bands", ["r", "r"], "got ['r', 'r']"),
        ("tiles.r64.limit_nmgy", 0.05, "limit_nmgy must exceed softening_nmgy; got 0.05 and 0.05"),
        ("compared", ["gan", "wgan"], "compared names ['wgan'], but recipes holds ['ambient', 'gan', 'improved', "),
        ("scales.laptop", LEAVE_OUT, "scale is 'laptop', but scales holds ['paper', 'workstation']"),
        (
            "scales.paper.tiles.r64",
            LEAVE_OUT,
            "paper names ['gri128', 'sky'], but tiles holds ['gri128', 'r64', 'sky']",
        ),
        ("scales.laptop.training.gri128", LEAVE_OUT, "scales.laptop names ['r64', 'sky'], but tiles holds"),
        ("encoder.sets", {}, "at least 1 item"),
        ("tiles.sky.seed", 1, "tiles.sky.seed is 1, but tiles.gri128.seed 0, so that a model could be trained on one"),
        ("tiles.gri128.test", 0.1, "tiles.gri128.test is 0.1, but tiles.r64.test 0.2"),
        (
            "tiles.sky.hold_out",
            {"validation": ["94-1-12"], "test": ["94-1-13"]},
            "tiles.sky.hold_out is {'validation': ['94-1-12'], 'test': ['94-1-13']}, but tiles.gri128.hold_out None",
        ),
        ("frames.seed", 1, "encoder.seed and frames.seed are both 1, so that encoders would be trained on held-out"),
        ("tiles.r64.drop", ["cloud"], "'trail', 'halo', 'saturated' or 'masked'"),
        ("tiles.gri128", LEAVE_OUT, "names ['gri128', 'r64', 'sky'], but tiles holds ['r64', 'sky']"),
    ],
)
def test_values_that_disagree_are_named(key, value, words):
    assert words in refusal(changed(key, value))


def test_an_encoder_of_a_tile_set_that_there_is_not_is_named():
    sets = RAW["encoder"]["sets"]

    assert "encoder.sets names ['r65'], but tiles holds" in refusal(
        changed("encoder.sets", {**sets, "r65": sets["r64"]})
    )


def test_the_tile_sets_with_an_encoder_are_judged():
    params = load(SHIPPED)

    assert list(params.tiles.sets) == ["r64", "gri128", "sky"]
    assert params.judged == {name: params.tiles[name] for name in ("r64", "gri128")}


def test_every_wrong_value_has_its_line():
    raw = changed("tiles.r64.size", 65)
    raw["seeds"] = "all"

    assert {line.split(" = ")[0] for line in refusal(raw).splitlines()} == {
        "params.yaml: tiles.r64.size",
        "params.yaml: seeds",
    }


def test_parameters_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load(SHIPPED).scale = "paper"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"scale: [laptop", "is not YAML"),
        (b"scale: laptop\nscale: paper\n", "is not YAML"),
        (b"scale: \xff\xfe\n", "is not YAML"),
        (b"", "(top level) = None"),
        (b"- laptop\n", "(top level) = ['laptop']"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, content, words):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)

    with pytest.raises(ParamsError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml: no such file; run from the project's root"):
        load(tmp_path / "nowhere.yaml")


def test_not_a_number_in_the_file_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text().replace("limit_nmgy: 100.0", "limit_nmgy: .nan", 1))

    with pytest.raises(ParamsError, match=r"tiles\.r64\.limit_nmgy = nan: .*finite"):
        load(path)


def test_scientific_notation_is_a_number():
    assert RAW["recipes"]["gan"]["discriminator_lr"] == 0.0002


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("~/my frames", "DVC does not know ~; write /home/me/my frames"),
        ("~", "DVC does not know ~; write /home/me"),
        ("~no-such-user/frames", "DVC does not know ~, and no user is called so; write the whole path"),
        ("$HOME/frames", "DVC does not read variables of the environment; write /home/me/frames"),
        ("", "at least 1 character"),
    ],
)
def test_a_folder_that_only_a_shell_would_find_is_refused_with_the_path_to_write(monkeypatch, folder, words):
    monkeypatch.setenv("HOME", "/home/me")
    message = refusal(changed("frames.folder", folder))

    assert message.startswith(f"params.yaml: frames.folder = {folder!r}: ")
    assert message.endswith(words) or (not folder and words in message)


@pytest.mark.parametrize("folder", ["my frames", "/data/my frames/", "frames~", "a$b", "../frames"])
def test_a_folder_that_is_written_out_is_taken_as_it_is(folder):
    assert validate(Params, changed("frames.folder", folder), "").frames.folder == folder


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "pipelines").glob("[a-z]*.py")))
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SHIPPED.read_text().replace("folder: data/local", "folder: ~/frames"), "frames.folder = '~/frames': "),
        (None, "params.yaml: no such file; run from the project's root"),
    ],
    ids=["wrong", "missing"],
)
def test_every_stage_ends_with_a_sentence_where_params_yaml_is_wrong(tmp_path, monkeypatch, stage, text, words):
    if text:
        (tmp_path / "params.yaml").write_text(text)
    arguments = {"evaluate": ["r64", "gan", "0"], "train": ["r64", "gan", "0"], "frames": [], "compare": []}
    of_stage = arguments.get(stage, [] if stage == "package" else ["r64"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{stage}.py", *of_stage])

    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "pipelines" / f"{stage}.py"), run_name="__main__")
    assert words in caught.value.code
    assert list(tmp_path.iterdir()) == ([tmp_path / "params.yaml"] if text else [])
