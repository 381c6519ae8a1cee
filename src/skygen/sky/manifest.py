"""What the frames stage made: a row a frame, and what it refused and why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from skygen.files import sha256_file
from skygen.params import Section
from skygen.sky.camera import gain_e_per_count
from skygen.sky.field import FieldId
from skygen.sky.frame import Frame, FrameError
from skygen.sky.noise import sky_noise

MIN_FIELDS = 3  # one each for training, validation and test, which are split by field


class FramesError(ValueError):
    """The frames stage cannot go on; the message says what was refused and what to do."""


class FrameRow(Section):
    """A frame: its file, the sky that it shows, where it comes from, its noise and its calibration."""

    name: str
    sha256: str
    run: int
    camcol: int
    field: int
    band: str
    origin: str
    sky_noise_nmgy: float
    nmgy_per_count: float
    gain_e_per_count: float

    @property
    def field_id(self) -> FieldId:
        """The field that the frame shows."""
        return FieldId(self.run, self.camcol, self.field)


class Refusal(Section):
    """A file that was left out, and why."""

    name: str
    reason: str


class Manifest(Section):
    """All frames and refusals, each sorted by name."""

    source: Literal["simulated", "local"]
    frames: list[FrameRow]
    refused: list[Refusal]


def describe(path: Path, frame: Frame, origin: str) -> FrameRow:
    """The manifest's row of `frame`, which lies at `path`; raises `FrameError` where its pixels have no noise."""
    identity = frame.field_id
    noise = float(sky_noise(frame.flux_nmgy))
    if noise == 0:
        raise FrameError(path, "more than half of its pixels are equal", "fetch the file again")
    return FrameRow(
        name=path.name,
        sha256=sha256_file(path),
        run=identity.run,
        camcol=identity.camcol,
        field=identity.field,
        band=frame.band,
        origin=origin,
        sky_noise_nmgy=noise,
        nmgy_per_count=frame.nmgy_per_count,
        gain_e_per_count=gain_e_per_count(identity, frame.band),
    )


def make_manifest(
    source: Literal["simulated", "local"], rows: Sequence[FrameRow], refused: Sequence[Refusal], bands: Sequence[str]
) -> Manifest:
    """The manifest of the fields that have all of `bands`, once each; all other rows become refusals.

    Raises `FramesError`, which names every refusal, where fewer than three fields are left.
    """
    kept: dict[tuple[FieldId, str], FrameRow] = {}
    refusals = list(refused)
    for row in sorted(rows, key=lambda row: row.name):
        first = kept.setdefault((row.field_id, row.band), row)
        if first is not row:
            refusals.append(Refusal(name=row.name, reason=f"the same frame as {first.name}; keep one of the two"))
    frames = []
    for row in kept.values():
        missing = [band for band in bands if (row.field_id, band) not in kept]
        if missing:
            reason = f"field {row.field_id} has no readable frame in {', '.join(missing)}; add it to the folder"
            refusals.append(Refusal(name=row.name, reason=reason))
        else:
            frames.append(row)
    manifest = Manifest(source=source, frames=frames, refused=sorted(refusals, key=lambda refusal: refusal.name))
    _require_fields(manifest, bands)
    return manifest


def _require_fields(manifest: Manifest, bands: Sequence[str]) -> None:
    found = len({row.field_id for row in manifest.frames})
    if found < MIN_FIELDS:
        refused = [f"  {refusal.name}: {refusal.reason}" for refusal in manifest.refused] or ["  nothing was refused"]
        raise FramesError(
            f"{found} complete fields in {', '.join(bands)}, but at least {MIN_FIELDS} are needed, one each for "
            "training, validation and test; add frames. Refused:\n" + "\n".join(refused)
        )
