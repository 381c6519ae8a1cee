"""DVC stage frames: simulated, downloaded or local frames → data/frames. Usage: python pipelines/frames.py"""

import sys
from pathlib import Path

from skygen.params import ParamsError, load
from skygen.sky.archive.download import SurveyError
from skygen.sky.collect import collect_frames
from skygen.sky.manifest import FramesError
from skygen.workers import WorkersError


def main() -> None:
    """Fill data/frames; leave it as it was, with a message, where that cannot be done."""
    try:
        manifest = collect_frames(load(Path("params.yaml")), Path("data/frames"))
    except (ParamsError, FramesError, SurveyError, WorkersError, OSError) as error:
        sys.exit(f"frames: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # what is finished is kept
    for refusal in manifest.refused:
        print(f"left out {refusal}", file=sys.stderr)
    fields = {row.field_id for row in manifest.frames}
    print(f"{len(manifest.frames)} frames of {len(fields)} fields; {len(manifest.refused)} files left out")


if __name__ == "__main__":
    main()
