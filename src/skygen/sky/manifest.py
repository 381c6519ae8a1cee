"""What the stage frames made: a table with a row a frame, and a table of what it left out, why, and what to do."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from skygen.files import sha256_file, write_atomically
from skygen.params import Section
from skygen.sky.ccd import gain_e_per_count
from skygen.sky.field import FieldId
from skygen.sky.frame import Frame
from skygen.sky.inspection.inspect import Inspection
from skygen.sky.readout import Half

FRAMES = "frames.parquet"
QUARANTINE = "quarantine.csv"
NOTHING_TO_DO = "none needed"  # begins the remedy of what may well stay as it is
Source = Literal["simulated", "sdss", "local"]

_ARROW_TYPES: dict[object, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}


class FramesError(ValueError):
    """The stage frames cannot go on, or what it made cannot be read; the message says why and what to do."""


class FrameRow(Section):
    """A frame: its file, the sky that it shows and how dense, where it comes from, noise, calibration and sharpness."""

    name: str
    sha256: str
    run: int
    camcol: int
    field: int
    band: str
    origin: str
    ra_deg: float  # of the frame's centre
    dec_deg: float
    sky_noise_nmgy: float  # of the whole frame
    sky_noise_left_nmgy: float  # of each half, which has an amplifier of its own
    sky_noise_right_nmgy: float
    sky_level_left_nmgy: float  # away from sources, which the subtraction of the sky has left
    sky_level_right_nmgy: float
    nmgy_per_count: float
    gain_e_per_count: float
    psf_fwhm_arcsec: float
    psf_stars: int  # by which the PSF was measured
    stars_arcmin2: float  # of the field, brighter than r = 20.5
    galaxies_arcmin2: float

    @property
    def field_id(self) -> FieldId:
        """The field that the frame shows."""
        return FieldId(self.run, self.camcol, self.field)

    def level_of(self, half: Half) -> float:
        """The sky level of one half, in nmgy."""
        return self.sky_level_left_nmgy if half == "left" else self.sky_level_right_nmgy

    def noise_of(self, half: Half) -> float:
        """The sky noise of one half, in nmgy."""
        return self.sky_noise_left_nmgy if half == "left" else self.sky_noise_right_nmgy


class Refusal(Section):
    """A file that was left out: why, and what to do."""

    file: str
    cause: str
    remedy: str

    @property
    def harmless(self) -> bool:
        """Whether nothing need be wrong: a file of another kind, or one that is there twice."""
        return self.remedy.startswith(NOTHING_TO_DO)

    def __str__(self) -> str:
        return f"{self.file}: {self.cause}; {self.remedy}"


@dataclass(frozen=True)
class Manifest:
    """All frames in the order of field and band, and all that was left out in the order of files."""

    source: Source
    frames: list[FrameRow]
    refused: list[Refusal]

    def write(self, folder: Path) -> None:
        """Write `frames.parquet` and `quarantine.csv`: the same bytes for the same content."""
        schema = pa.schema(
            [(name, _ARROW_TYPES[field.annotation]) for name, field in FrameRow.model_fields.items()],
            metadata={"source": self.source},
        )
        table = pa.Table.from_pylist([row.model_dump() for row in self.frames], schema=schema)
        with write_atomically(folder / FRAMES) as temporary:
            pq.write_table(table, temporary)
        with (
            write_atomically(folder / QUARANTINE) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(Refusal.model_fields)
            writer.writerows((refusal.file, refusal.cause, refusal.remedy) for refusal in self.refused)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """What `write` wrote; raises `FileNotFoundError` where it is missing and `FramesError` where it is damaged."""
        for name in (FRAMES, QUARANTINE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name}: no such file; run the stage frames, which writes it")
        try:
            table = pq.read_table(folder / FRAMES, partitioning=None)
            source = (table.schema.metadata or {})[b"source"].decode()
            frames = [FrameRow.model_validate(row) for row in table.to_pylist()]
            with (folder / QUARANTINE).open(encoding="utf-8", newline="") as stream:
                refused = [Refusal.model_validate(row) for row in csv.DictReader(stream)]
        except (pa.ArrowException, ValidationError, OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
            raise FramesError(f"the manifest in {folder} is damaged ({error}); run the stage frames again") from error
        return cls(_source(source), frames, refused)


def _source(text: str) -> Source:
    for known in ("simulated", "sdss", "local"):
        if text == known:
            return known
    raise FramesError(f"a manifest's source is {text!r}; run the stage frames again")


def describe(path: Path, frame: Frame, origin: str, inspection: Inspection) -> FrameRow:
    """The manifest's row of `frame`, which lies at `path` and was inspected with its field."""
    identity = frame.field_id
    height, width = frame.flux_nmgy.shape
    ra, dec = frame.wcs.all_pix2world((width - 1) / 2, (height - 1) / 2, 0)
    return FrameRow(
        name=path.name,
        sha256=sha256_file(path),
        run=identity.run,
        camcol=identity.camcol,
        field=identity.field,
        band=frame.band,
        origin=origin,
        ra_deg=float(ra),
        dec_deg=float(dec),
        sky_noise_nmgy=inspection.sky_noise_nmgy[frame.band],
        sky_noise_left_nmgy=inspection.half_noise_nmgy[frame.band]["left"],
        sky_noise_right_nmgy=inspection.half_noise_nmgy[frame.band]["right"],
        sky_level_left_nmgy=inspection.half_level_nmgy[frame.band]["left"],
        sky_level_right_nmgy=inspection.half_level_nmgy[frame.band]["right"],
        nmgy_per_count=frame.nmgy_per_count,
        gain_e_per_count=gain_e_per_count(identity, frame.band),
        psf_fwhm_arcsec=inspection.psf_fwhm_arcsec[frame.band],
        psf_stars=inspection.psf_stars[frame.band],
        stars_arcmin2=inspection.density.stars,
        galaxies_arcmin2=inspection.density.galaxies,
    )


def make_manifest(
    source: Source, rows: Sequence[FrameRow], refused: Sequence[Refusal], bands: Sequence[str], min_fields: int
) -> Manifest:
    """The manifest of `rows`, all of whole fields; raises `FramesError` for fewer than `min_fields` of them."""
    frames = sorted(rows, key=lambda row: (row.field_id, bands.index(row.band)))
    refusals = sorted(refused, key=lambda refusal: (refusal.file, refusal.cause))
    found = len({row.field_id for row in frames})
    if found < min_fields:
        raise FramesError(
            f"{found} fields are usable in {', '.join(bands)}, but frames.min_fields asks for {min_fields}; add fields "
            f"or mend what was left out:\n{_listed(refusals)}"
        )
    return Manifest(source, frames, refusals)


def _listed(refusals: Sequence[Refusal], at_most: int = 100) -> str:
    lines = [f"  {refusal}" for refusal in refusals[:at_most]] or ["  nothing"]
    more = len(refusals) - at_most
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
