"""How little of a tile set a new field changes, as DVC sees it."""

import os
import subprocess
import sys

import pytest

from skygen.params import TilesScale
from skygen.sky.field import FieldId
from skygen.tiles.build import build_tile_set
from skygen.tiles.store import SPLITS

pytestmark = pytest.mark.slow


@pytest.fixture
def dvc(tmp_path):
    """A function: run dvc in a folder of its own with a local remote; what it printed."""
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*arguments):
        environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout

    run("init", "--no-scm", "--quiet")
    run("remote", "add", "--default", "local", str(tmp_path / "remote"))
    return run


def test_a_new_field_changes_few_files(tmp_path, small_frames, write_frames, tile_set, dvc):
    def build(fields):
        frames = write_frames(tmp_path / "frames", [(field, "r") for field in fields])
        scale = TilesScale(train_a_field=250, held_out_a_field=20)
        folder = tmp_path / "project" / "r64"
        return build_tile_set(frames, folder, "r64", tile_set(bands=["r"], require_source=False), scale).card

    def stored():
        return {path for path in (tmp_path / "remote").rglob("*") if path.is_file()}

    fields = [FieldId(94, 1 + number // 30, number % 30) for number in range(60)]
    before = build(fields)
    dvc("add", "r64")
    dvc("push")
    first = stored()
    assert "up to date" in dvc("status")
    after = build([*fields, FieldId(94, 3, 0)])

    assert "modified:           r64" in dvc("status")
    dvc("add", "r64")
    dvc("push")
    shards = sum(len(before.shards[split]) for split in SPLITS)
    new = [path for path in stored() - first if path.suffix != ".dir"]
    changed = {shard.sha256 for split in SPLITS for shard in after.shards[split]} - {
        shard.sha256 for split in SPLITS for shard in before.shards[split]
    }
    assert shards >= 12
    assert len(changed) <= 3  # the new field's shard or its two parts, and one more where a share is rounded up
    assert len(new) == len(changed) + 2  # and the manifest and the card
