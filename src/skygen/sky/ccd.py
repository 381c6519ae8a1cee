"""The survey camera's electronics, by camera column and band.

The numbers are those of the frame data model, section on the noise of a frame:
https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

from skygen.sky.field import FieldId
from skygen.sky.readout import Half

BANDS = "ugriz"
# Gain in electrons a count: a row a camera column, a column a band.
_GAIN = (
    (1.62, 3.32, 4.71, 5.165, 4.745),
    (1.825, 3.855, 4.6, 6.565, 5.155),
    (1.59, 3.845, 4.72, 4.86, 4.885),
    (1.6, 3.995, 4.76, 4.885, 4.775),
    (1.47, 4.05, 4.725, 4.64, 3.48),
    (2.17, 4.035, 4.895, 4.76, 4.69),
)
_EARLY_GAIN = {(2, "u"): 1.595}  # up to run 1100
# Dark variance in square counts: read noise and dark current together.
_DARK_VARIANCE = (
    (9.61, 15.6025, 1.8225, 7.84, 0.81),
    (12.6025, 1.44, 1.0, 6.25, 1.0),
    (8.7025, 1.3225, 1.3225, 4.6225, 1.0),
    (12.6025, 1.96, 1.3225, 7.5625, 12.6025),
    (9.3025, 1.1025, 0.81, 7.84, 2.1025),
    (7.0225, 1.8225, 0.9025, 5.0625, 1.21),
)
_EARLY_DARK_VARIANCE = {(2, "i"): 5.76, (4, "i"): 6.25, (4, "z"): 9.61, (5, "z"): 1.8225}  # up to run 1500

# Dark variance of the left and of the right half of the CCDs of i, by camera column, as eight fields of the survey have
# it (docs/sky.md). In g and r the halves differ by less than what the sky's photons leave visible.
_DARK_VARIANCE_I = ((3.5, 21.4), (22.1, 11.0), (11.1, 1.2), (11.9, 4.2), (6.1, 7.3), (12.7, 0.7))


def gain_e_per_count(field_id: FieldId, band: str) -> float:
    """Electrons a count of the CCD that imaged `field_id` in `band`, one of u, g, r, i, z."""
    if field_id.run <= 1100 and (field_id.camcol, band) in _EARLY_GAIN:
        return _EARLY_GAIN[field_id.camcol, band]
    return _GAIN[field_id.camcol - 1][BANDS.index(band)]


def dark_variance_counts2(field_id: FieldId, band: str) -> float:
    """Variance in square counts that the CCD adds to a pixel's photon noise, by the data model: one for both halves."""
    if field_id.run <= 1500 and (field_id.camcol, band) in _EARLY_DARK_VARIANCE:
        return _EARLY_DARK_VARIANCE[field_id.camcol, band]
    return _DARK_VARIANCE[field_id.camcol - 1][BANDS.index(band)]


def dark_variance_of_halves_counts2(field_id: FieldId, band: str) -> dict[Half, float]:
    """The same for each half of the frame, which an amplifier of its own reads: in i they are told apart."""
    if band == "i":
        left, right = _DARK_VARIANCE_I[field_id.camcol - 1]
        return {"left": left, "right": right}
    both = dark_variance_counts2(field_id, band)
    return {"left": both, "right": both}
