"""Lists of fields whose sky is known, and the survey's file of them."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits

from skygen.sky.archive.fields import FieldList

FIELD_STEP_DEG = (1489 - 128) * 0.396 / 3600  # along a scan
# The columns of the survey's data model that lie around those that are read, too.
FORMATS = {
    "RUN": "J",
    "RERUN": "3A",
    "CAMCOL": "I",
    "FIELD": "J",
    "MJD": "J",
    "TAI": "5D",
    "RA": "D",
    "DEC": "D",
    "XBIN": "J",
    "PSF_FWHM": "5E",
    "SKYFLUX": "5E",
    "PHOTO_STATUS": "J",
    "IMAGE_STATUS": "5J",
    "CALIB_STATUS": "5J",
    "SCORE": "E",
}


def sky(ra_deg, dec_deg, run=1000):
    """Good fields at these places, numbered from 11 in one run."""
    ra_deg, dec_deg = np.broadcast_arrays(np.asarray(ra_deg, float), np.asarray(dec_deg, float))
    ra_deg, dec_deg = ra_deg.ravel() % 360, dec_deg.ravel()
    whole = np.ones(len(ra_deg), np.int64)
    return FieldList(
        run=run * whole,
        camcol=3 * whole,
        field=11 + np.arange(len(ra_deg)),
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        seeing_arcsec=1.2 * whole,
        score=0.9 * whole,
    )


def joined(*lists):
    """One list of several."""
    return FieldList(*(np.concatenate([getattr(part, name) for part in lists]) for name in vars(lists[0])))


def grid(ra_deg, dec_deg, step_deg=0.5, run=1000):
    """Good fields on a grid between two right ascensions and two declinations."""
    return sky(*np.meshgrid(np.arange(*ra_deg, step_deg), np.arange(*dec_deg, step_deg)), run=run)


def changed(fields, row, **values):
    """The list with other values in one row."""
    columns = {name: column.copy() for name, column in vars(fields).items()}
    for name, value in values.items():
        columns[name][row] = value
    return FieldList(**columns)


def places(fields, names):
    """Where the named fields lie."""
    index = {name: row for row, name in enumerate(fields.names(np.arange(len(fields.run))))}
    rows = [index[name] for name in names]
    return SkyCoord(fields.ra_deg[rows], fields.dec_deg[rows], unit=u.deg)


def write_list(path, fields, rerun="301", leave_out=()):
    """The list as the survey writes it, its rows in this order; the bands' seeing is u to z in steps of 0.1."""
    count = len(fields.run)
    seeing = fields.seeing_arcsec[:, None] + np.array([0.2, 0.1, 0.0, -0.1, -0.2])
    known = {
        "RUN": fields.run,
        "RERUN": np.broadcast_to(rerun, count),
        "CAMCOL": fields.camcol,
        "FIELD": fields.field,
        "RA": fields.ra_deg,
        "DEC": fields.dec_deg,
        "PSF_FWHM": seeing,
        "SCORE": fields.score,
    }
    columns = [
        fits.Column(name, form, array=known.get(name, np.zeros((count, 5) if form[0] == "5" else count)))
        for name, form in FORMATS.items()
        if name not in leave_out
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    return path
