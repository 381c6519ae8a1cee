"""DVC stage frames: simulated or local frames → data/frames with a manifest. Usage: python pipelines/frames.py"""

import sys
from pathlib import Path

from skygen.params import ParamsError, load
from skygen.sky.collect import collect_frames
from skygen.sky.manifest import FramesError


def main() -> None:
    """Fill data/frames; leave it as it was, with a message, where that cannot be done."""
    try:
        manifest = collect_frames(load(Path("params.yaml")), Path("data/frames"))
    except (ParamsError, FramesError, FileNotFoundError) as error:
        sys.exit(f"frames: {error}")
    for refusal in manifest.refused:
        print(f"refused {refusal.name}: {refusal.reason}", file=sys.stderr)
    fields = {row.field_id for row in manifest.frames}
    print(f"{len(manifest.frames)} frames of {len(fields)} fields, {len(manifest.refused)} refused")


if __name__ == "__main__":
    main()
