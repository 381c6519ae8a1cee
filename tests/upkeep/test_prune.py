"""What nobody needs is said with its size, and goes when that is asked for; what is in use stays."""

import os
import time

from ruamel.yaml import YAML

from skygen.experiments.cells import Cells
from skygen.experiments.spec import read_experiments
from skygen.experiments.training import Clone
from skygen.locks import alone
from skygen.params import load
from skygen.sky.field import FieldId
from skygen.sky.manifest import Manifest
from tests.sky.test_manifest import row

OLD_S = 40 * 86400


def age(*paths):
    for path in paths:
        for place in (path, *path.rglob("*")):
            os.utime(place, (time.time() - OLD_S,) * 2)


def write(path, megabytes=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(int(megabytes * 1e6)))
    return path


def test_old_checkpoints_go_unless_a_training_has_them(project):
    checkpoints = project.folder / ".checkpoints"
    old = [write(checkpoints / name) for name in ("aa.pt", "aa.previous.pt")]
    held, young = write(checkpoints / "bb.pt"), write(checkpoints / "cc.pt")
    age(*old, held)
    with alone(checkpoints / "bb.lock", "a training"):
        _, dry, _ = project.skygen("prune")
        assert all(path.is_file() for path in (*old, held, young))
        _, done, _ = project.skygen("prune", "--yes")

    assert dry.splitlines()[0].startswith("would go: .checkpoints/aa.previous.pt and 1 more, 2.0 MB: ")
    assert dry.splitlines()[-1] == "2.0 MB in all; --yes removes it"
    assert done.splitlines()[-1] == "2.0 MB in all"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["bb.pt", "cc.pt"]


def test_folders_that_no_experiment_and_no_field_has_go(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    experiments, folds = project.folder / ".experiments", project.folder / ".folds"
    for folder in (project.folder / "experiments", project.folder / "data/frames"):
        folder.mkdir()
    content = {"title": "Any", "rows": ["P9"], "sets": {"r64": [0]}, "recipes": ["gan"]}
    YAML().dump(content, project.folder / "experiments/any.yaml")
    Manifest("local", [row(FieldId(94, 1, 12))], []).write(project.folder / "data/frames")
    params = load(project.folder / "params.yaml")
    used = project.folder / Cells(read_experiments(params)["any"], Clone(params)).first[0].training.folder
    gone, held = experiments / "r64-gan-0-former", experiments / "r64-gan-1-former"
    folders = [used, gone, held, experiments / "r64-gan-2-young", folds / "94-1-12", folds / "94-6-99"]
    for folder in folders:
        write(folder / "log.txt")
    age(used, gone, held, folds)
    with alone(held / "lock", "a cell"):
        dry = project.skygen("prune")[1].splitlines()
        done = project.skygen("prune", "--yes")[1].splitlines()

    assert [line.partition(": ")[2] for line in dry[:-1]] == [line.partition(": ")[2] for line in done[:-1]]
    assert [line.split()[2] for line in dry[:-1]] == [".experiments/r64-gan-0-former,", ".folds/94-6-99,"]
    assert [folder for folder in folders if not folder.is_dir()] == [gone, folds / "94-6-99"]


def test_bentos_of_services_that_ended_go(project):
    own, other = write(project.folder / f".bento/{os.getpid()}/x"), write(project.folder / ".bento/4194305/x")
    assert ".bento/4194305, 1.0 MB: its service has ended" in project.skygen("prune", "--yes")[1]
    assert (own.is_file(), other.exists()) == (True, False)


def test_what_no_commit_names_leaves_the_cache_as_dvc_itself_would_have_it(project):
    cache, given = project.folder / ".dvc/cache/files/md5", project.folder / "given/comparison.md"
    committed = set(cache.glob("*/*"))
    for text in ("once committed", "never committed", "in the workspace"):
        given.write_text(text)
        project.run("dvc", "repro", "--quiet", "compare")
        if text.startswith("once"):
            project.run("git", "commit", "--quiet", "--all", "-m", text)
    age(project.folder / ".dvc/cache")
    young = next(iter(committed))
    os.utime(young)
    said = project.run("dvc", "gc", "--workspace", "--all-commits", "--force", "--dry").splitlines()
    by_dvc = {line.removeprefix("Removing ") for line in said if line.startswith("Removing ")}
    before = set(cache.glob("*/*"))
    status, said, error = project.skygen("prune", "--yes")

    assert status == 0, error
    assert {str(path) for path in before - set(cache.glob("*/*"))} == by_dvc
    assert len(by_dvc) == 1
    assert "neither the workspace, a fold nor a commit names it" in said
    project.run("git", "checkout", "--quiet", "HEAD~1", "--", "dvc.lock", "given/comparison.md")
    project.run("dvc", "checkout", "--quiet", "--force")
    assert (project.folder / "reports/comparison.md").read_text() == "A report.\n"


def test_what_a_fold_names_and_what_is_young_stays_in_the_cache(project):
    cache = project.folder / ".dvc/cache/files/md5"
    by_fold, young, old = (write(cache / name / ("0" * 30), 0.1) for name in ("aa", "bb", "cc"))
    age(by_fold, old)
    fold = project.folder / ".folds/94-1-12/dvc.lock"
    fold.parent.mkdir(parents=True)
    fold.write_text(f"stages:\n  tiles:\n    outs:\n    - path: x\n      md5: aa{'0' * 30}\n")
    project.skygen("prune", "--yes", "--older-than", "0")
    assert [path.is_file() for path in (by_fold, young, old)] == [True, True, False]


def test_a_cache_that_others_may_use_is_left(project, tmp_path):
    project.run("dvc", "cache", "dir", str(tmp_path / "shared"))
    status, _, said = project.skygen("prune", "--yes")
    assert status == 1
    assert "lies outside of this clone, and others may use it" in said
