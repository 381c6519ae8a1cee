"""What the survey's observation of a readout, a half of a field, was like, as a noise model needs it."""

from collections.abc import Sequence

from skygen.params import Positive, Section


class BandConditions(Section):
    """One band of a readout: noise and level away from sources, what a photo-electron is worth, and how sharp it is."""

    sky_noise_nmgy: Positive  # standard deviation of a pixel
    nmgy_per_electron: Positive  # so that a source's photons add a variance of flux x nmgy_per_electron to a pixel
    psf_fwhm_arcsec: Positive
    sky_level_nmgy: float = (
        0.0  # that the subtraction of the sky has left: a fiftieth of the noise, the same over a half
    )


DENSITY_MAG = 20.5  # densities count sources brighter than this in r
MOST_DENSITY = 4.0  # times a field's own: the most that can be asked of a process
FieldConditions = Sequence[BandConditions]  # in the order of the tile set's bands


class Density(Section):
    """How many sources brighter than `DENSITY_MAG` a field has an arcmin², whatever its seeing and noise show."""

    stars: Positive
    galaxies: Positive
