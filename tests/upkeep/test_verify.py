"""Damage that DVC does not see is found, and named with what mends it."""

import re
import tarfile

import pytest

from skygen.files import sha256_folder, write_json
from tests.upkeep.conftest import rot


def remedies(said):
    """The commands between backquotes, the first of each line."""
    return [re.findall(r"`(.+?)`", line)[0] for line in said.splitlines()]


def test_a_sound_clone_is_said_to_be_sound(project):
    status, said, _ = project.skygen("verify", "--outputs", "--cache")
    assert (status, said) == (0, "16 files and bundles are as they should be\n")


def test_a_flipped_bit_in_the_workspace_is_found_and_mended(project):
    shard, report = project.folder / "data/tiles/r64/train-0.npy", project.folder / "reports/comparison.md"
    sound = project.contents()
    project.run("dvc", "status")
    for path in (shard, report):
        rot(path)
    assert "up to date" in project.run("dvc", "status")
    status, said, error = project.skygen("verify", "--outputs")

    assert (status, error) == (1, "Error: 2 findings; 7 files and bundles were hashed")
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        "data/tiles/r64/train-0.npy",
        "reports/comparison.md",
    ]
    assert remedies(said) == ["dvc checkout data/tiles/r64", "dvc checkout reports/comparison.md"]
    for path in (shard, report):
        path.unlink()
    for command in remedies(said):
        project.run(*command.split())
    assert project.contents() == sound


def test_a_damaged_cache_is_found_and_mended_from_the_workspace(project):
    damaged, lost = project.object("models/r64/gan/0/bundle/card.json"), project.object("reports/comparison.md")
    sound = damaged.read_bytes()
    rot(damaged)
    lost.unlink()
    status, said, _ = project.skygen("verify", "--cache")

    assert status == 1
    assert remedies(said) == ["dvc commit models/r64/gan/0", "dvc commit reports/comparison.md"]
    damaged.unlink()
    for command in remedies(said):
        project.run(*command.split())
    assert damaged.read_bytes() == sound
    assert lost.is_file()


def test_what_a_fresh_clone_lacks_is_to_be_pulled(project, teammate):
    status, said, _ = teammate(project).skygen("verify", "--outputs")
    assert status == 1
    assert remedies(said) == ["dvc pull data/tiles/r64", "dvc pull models/r64/gan/0", "dvc pull reports/comparison.md"]


def test_what_no_stage_wrote_is_found_but_not_what_dvc_ignores(project):
    (project.folder / ".dvcignore").write_text("*.part\n")
    for name in ("new.npy", "new.part"):
        (project.folder / "data/tiles/r64" / name).touch()
    status, said, _ = project.skygen("verify", "--outputs")
    assert status == 1
    assert said.startswith("data/tiles/r64/new.npy: not of data/tiles/r64 by dvc.lock; remove it")
    assert len(said.splitlines()) == 1


def test_a_folder_whose_list_is_lost_is_judged_as_a_whole(project):
    for listed in (project.folder / ".dvc/cache/files/md5").glob("*/*.dir"):
        listed.unlink()
    assert project.skygen("verify", "--outputs")[0] == 0
    commits = remedies(project.skygen("verify", "--cache")[1])
    assert sorted(commits) == ["dvc commit data/tiles/r64", "dvc commit models/r64/gan/0"]
    for command in commits:
        project.run(*command.split())
    assert project.skygen("verify", "--cache")[0] == 0
    for listed in (project.folder / ".dvc/cache/files/md5").glob("*/*.dir"):
        listed.unlink()
    rot(project.folder / "data/tiles/r64/train-0.npy")
    assert project.skygen("verify", "--outputs")[1].startswith("data/tiles/r64: its MD5 is ")


@pytest.fixture
def packaged(project):
    """A project with a Bento and a report of what was measured, both of the bundle that it trained."""
    bundle = project.folder / "models/r64/gan/0/bundle"
    write_json(project.folder / "reports/r64/gan/0/metrics.json", {"bundle": sha256_folder(bundle)})
    catalogue = project.folder / "catalogue.json"
    write_json(catalogue, {"champions": {"r64": "gan"}, "sha256": {"r64/gan": sha256_folder(bundle)}})
    (project.folder / "dist").mkdir()
    with tarfile.open(project.folder / "dist/skygen.bento", "w:gz") as archive:
        archive.add(catalogue, "src/bundles/catalogue.json")
        archive.add(bundle, "src/bundles/r64/gan")
    return bundle


def test_a_bundle_that_is_not_the_measured_one_is_found_in_training_and_bento(project, packaged):
    assert project.skygen("verify", "--models")[:2] == (0, "2 files and bundles are as they should be\n")
    rot(packaged / "generator.safetensors")
    with tarfile.open(project.folder / "dist/skygen.bento", "w:gz") as archive:
        archive.add(project.folder / "catalogue.json", "src/bundles/catalogue.json")
        archive.add(packaged, "src/bundles/r64/gan")
    status, said, _ = project.skygen("verify", "--models")

    assert status == 1
    training, bento = said.splitlines()
    assert training.startswith("models/r64/gan/0/bundle: its SHA-256 is ")
    assert bento.startswith("dist/skygen.bento, r64/gan: its SHA-256 is ")


@pytest.mark.parametrize("damage", ["cut", "card"])
def test_what_cannot_be_read_is_named(damage, project, packaged):
    bento = project.folder / "dist/skygen.bento"
    if damage == "cut":
        bento.write_bytes(bento.read_bytes()[:1000])
    else:
        (packaged / "card.json").write_text("{")
    status, said, _ = project.skygen("verify", "--models")
    assert status == 1
    place = "dist/skygen.bento: no Bento that can be read" if damage == "cut" else "models/r64/gan/0/bundle: "
    assert said.startswith(place)
