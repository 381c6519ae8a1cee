"""skygen models, promote, refuse and rollback, with the stage package between them, in a real store."""

import json

import pytest

from skygen import tracking
from skygen.files import sha256_folder
from skygen.selection.promotion import bundle_folder
from tests.tracking.project import WHY, audit, standing


def test_a_better_one_is_promoted_and_a_worse_one_refused_with_the_reason(skygen, versions, registry):
    versions("bright", "perfect", "dealt")
    status, said, _ = skygen("promote", "r64", "2", *WHY)
    assert status == 0
    assert said.startswith("version 2 (perfect, seed 0) is champion of r64 now: version 2 (perfect, seed 0) replaces ")
    assert standing(registry) == "perfect"

    status, _, said = skygen("promote", "r64", "1", *WHY)
    assert (status, standing(registry)) == (1, "perfect")
    assert "version 1 (bright, seed 0) does not replace version 2 (perfect, seed 0): kernel " in said
    assert audit() == [("promoted", "1"), ("promoted", "2"), ("not promoted", "1")]
    entry = list(tracking.registered("r64").audit.entries.values())[1]
    assert (entry.who, entry.over, entry.why, entry.anyway) == ("ana", "1", "a test", False)
    assert entry.sha256 == sha256_folder(bundle_folder("r64", "perfect", 0))
    assert "replaces version 1" in entry.verdict
    assert skygen("promote", "r64", "2", *WHY)[:2] == (
        0,
        "version 2 (perfect, seed 0) stands already; nothing changes\n",
    )
    assert len(audit()) == 3


def test_a_collapsed_one_is_promoted_anyway_and_the_audit_says_so(skygen, versions, registry):
    versions("perfect", "flat")
    status, _, said = skygen("promote", "r64", "2", *WHY)
    assert status == 1
    assert "for it collapsed" in said
    status, said, _ = skygen("promote", "r64", "2", *WHY, "--anyway")

    assert (status, standing(registry)) == (0, "flat")
    latest = tracking.registered("r64").audit.latest("2")
    assert (latest.action, latest.anyway) == ("promoted", True)
    assert "for it collapsed" in latest.verdict


def test_without_tiles_at_hand_only_anyway_promotes(skygen, versions, registry, project):
    versions("bright", "perfect")
    (project / "data").rename(project / "data-away")
    try:
        status, _, said = skygen("promote", "r64", "2", *WHY)
        assert (status, standing(registry)) == (1, "bright")
        assert "version 2 (perfect, seed 0) cannot be compared here: data/tiles/r64" in said
        assert "--anyway promotes without" in said
        assert skygen("promote", "r64", "2", *WHY, "--anyway")[0] == 0
    finally:
        (project / "data-away").rename(project / "data")

    assert standing(registry) == "perfect"
    assert tracking.registered("r64").audit.latest("2").verdict.startswith("not compared: data/tiles/r64")


def test_what_is_refused_is_not_promoted_by_the_stage_until_a_person_does(skygen, versions, registry, packaged):
    versions("bright", "perfect")
    status, said, _ = skygen("refuse", "r64", "2", *WHY)
    assert (status, said.split(":")[0]) == (0, "version 2 (perfect, seed 0) of r64 is refused")

    said = packaged("perfect")
    assert "perfect, seed 0 was refused as version 2 by ana (a test) and does not challenge version 1 (bright" in said
    assert standing(registry) == "bright"
    assert skygen("promote", "r64", "2", *WHY)[0] == 0
    assert standing(registry) == "perfect"
    assert tracking.registered("r64").audit.bar(sha256_folder(bundle_folder("r64", "perfect", 0))) is None


def test_where_no_champion_stands_one_that_is_refused_does_not_become_it(skygen, versions, registry, packaged):
    versions("bright", "perfect")
    skygen("refuse", "r64", "2", *WHY)
    registry.delete_registered_model_alias("skygen-r64", "champion")
    with pytest.raises(tracking.NoChampionError, match=r"refused as version 2 by ana .*, and no champion stands"):
        packaged("perfect")

    assert "bright, seed 0 is the first champion (version 1)" in packaged("bright")


def test_the_champion_is_not_refused_but_rolled_back(skygen, versions, registry):
    versions("bright")
    status, _, said = skygen("refuse", "r64", "1", *WHY)

    assert status == 1
    assert "version 1 (bright, seed 0) is the champion of r64; roll back instead: skygen rollback r64" in said
    assert audit() == [("promoted", "1")]


def test_rollbacks_go_one_further_back_each_and_the_stage_does_not_undo_them(skygen, versions, registry, packaged):
    versions("flat")
    assert "replaces version 1" in packaged("bright")
    assert "replaces version 2" in packaged("perfect")

    assert skygen("rollback", "r64", *WHY)[:2] == (
        0,
        "version 2 (bright, seed 0) is champion of r64 again; version 3 (perfect, seed 0) is rolled back\n",
    )
    assert "perfect, seed 0 was rolled back as version 3 by ana (a test) and does not challenge" in packaged("perfect")
    assert standing(registry) == "bright"
    assert skygen("rollback", "r64", *WHY)[0] == 0
    assert standing(registry) == "flat"
    status, _, said = skygen("rollback", "r64", *WHY)
    assert (status, standing(registry)) == (1, "flat")
    assert "nothing stood before version 1 (flat, seed 0) of r64" in said
    assert audit()[3:] == [("rolled back", "3"), ("rolled back", "2")]


def test_a_rollback_passes_by_what_was_refused_meanwhile(skygen, versions, registry):
    versions("flat", "bright", "perfect")
    tracking.promote("r64", "2", "1")
    tracking.promote("r64", "3", "2")
    assert skygen("refuse", "r64", "2", *WHY)[0] == 0
    assert skygen("rollback", "r64", *WHY)[0] == 0

    assert standing(registry) == "flat"


def test_models_says_what_became_of_each_version(skygen, versions):
    versions("bright", "perfect", "dealt", "flat")
    skygen("promote", "r64", "2", *WHY)
    skygen("refuse", "r64", "4", "--why", "it\n repeats itself")
    status, said, _ = skygen("models")
    content = json.loads(skygen("models", "--set", "r64", "--json")[1])["r64"]

    assert status == 0
    assert (
        f"* {2:>3}  {sha256_folder(bundle_folder('r64', 'perfect', 0))[:12]}  perfect, seed 0: promoted, stands" in said
    )
    assert "ana: it repeats itself" in said
    assert content["champion"] == "2"
    became = [(one["version"], one["became"], one["stands"], one["barred"]) for one in content["versions"]]
    assert became == [
        ("1", "promoted", False, False),
        ("2", "promoted", True, False),
        ("3", "never compared", False, False),
        ("4", "refused", False, True),
    ]
    assert content["versions"][1]["who"] == "ana"
    assert len(content["audit"]) == 3
    assert "ana  version 4 refused: it repeats itself" in skygen("models", "--audit")[1]
    skygen("rollback", "r64", "--why", "complaints")
    assert "bright, seed 0: champion again, stands" in skygen("models")[1]


def test_a_set_or_version_that_is_not_there_is_named_with_those_that_are(skygen, versions):
    versions("bright")

    assert "no tile set of the registry is called r65; there are: r64" in skygen("models", "--set", "r65")[2]
    for command, version in (("promote", "1"), ("refuse", "1"), ("rollback", "")):
        said = skygen(command, "r65", *filter(None, [version]), *WHY)[2]
        assert "no tile set of the registry is called r65; there are: r64" in said
    for command in ("promote", "refuse"):
        status, _, said = skygen(command, "r64", "7", *WHY)
        assert (status, said) == (1, "Error: skygen-r64 has no version 7; there are: 1\n")


def test_an_empty_registry_says_who_fills_it(skygen):
    assert skygen("models")[0::2] == (
        1,
        "Error: the registry holds no models yet; the stage package registers the first: dvc repro\n",
    )
