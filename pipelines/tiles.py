"""DVC stage tiles@SET: frames → tile store, summary and picture of one set. Usage: python pipelines/tiles.py SET"""

import csv
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skygen.files import write_atomically
from skygen.formats.png import contact_sheet, encode_png
from skygen.params import load
from skygen.tiles.build import FieldSummary, build_tile_set, check_splits_agree
from skygen.tiles.store import TileSetCard, TileStore

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room for a file
_PANEL = (8, 12)  # rows and columns of the picture


def main(tiles: str) -> None:
    """Build the tile set `tiles` as params.yaml says; leave the former one, and say why, where that cannot be done."""
    folder = Path("data/tiles") / tiles
    try:
        params = load(Path("params.yaml"))
        tile_set, scale = params.tiles[tiles], params.chosen.tiles[tiles]
        check_splits_agree(Path("data/frames"), params.tiles.sets)
        built = build_tile_set(Path("data/frames"), folder, tiles, tile_set, scale, params.tiles.scheduler)
    except KeyError:
        sys.exit(f"tiles {tiles}: params.yaml has no such set under tiles")
    except (ValueError, FileNotFoundError, BlockingIOError) as error:
        sys.exit(f"tiles {tiles}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # what is finished is kept
    except PermissionError as error:
        sys.exit(f"tiles {tiles}: {error}; see to its permissions, or remove it where another user's run left it")
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sys.exit(
            f"tiles {tiles}: no room to write in {folder.parent} ({error.strerror}); make some, or choose a smaller "
            "scale, and run the stage again: it goes on with what was finished"
        )
    _print(built.card)
    reports = Path("reports/tiles")
    _write_summary(reports / f"{tiles}.csv", built.fields)
    _write_panel(reports / f"{tiles}.png", TileStore.open(folder))


def _print(card: TileSetCard) -> None:
    for split, shards in card.shards.items():
        survival, count = card.survival[split], sum(shard.tiles for shard in shards)
        spoilt = ", ".join(f"{cause} {share:.1%}" for cause, share in survival.spoilt.items())
        print(
            f"{split}: {count} tiles of {len(card.fields[split])} fields; {survival.kept:.1%} of {survival.tried} "
            f"places were fit to keep (spoilt by: {spoilt})"
        )
    for cause, fields in card.left_out.items():
        if fields:
            print(f"left out, {cause}: {len(fields)} fields, such as {', '.join(fields[:5])}")


def _write_summary(path: Path, fields: Sequence[FieldSummary]) -> None:
    """A row a field, for `dvc plots`."""
    with write_atomically(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["split", "field", "tiles", "survival", "sky_noise_r_nmgy", "psf_fwhm_r_arcsec"])
        for split, report, row in fields:
            survival = report.good / report.tried
            values = f"{survival:.4f}", f"{row.sky_noise_nmgy:.5f}", f"{row.psf_fwhm_arcsec:.3f}"
            writer.writerow([split, report.field, report.tiles, *values])


def _write_panel(path: Path, store: TileStore) -> None:
    """A picture of training tiles, spread evenly over the fields: figures 6 and 7 of the paper."""
    tiles = store.split("train")
    rows, columns = _PANEL
    chosen = np.unique(np.linspace(0, len(tiles) - 1, rows * columns).astype(int))
    with write_atomically(path) as temporary:
        temporary.write_bytes(encode_png(contact_sheet(tiles.batch(chosen), store.card.bands, columns)))


if __name__ == "__main__":
    main(*sys.argv[1:])
