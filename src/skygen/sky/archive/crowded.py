"""Places on the sky too crowded with stars for a set of ordinary tiles, away from the plane of the Galaxy."""

from typing import NamedTuple


class Crowded(NamedTuple):
    """A globular cluster or a galaxy resolved into stars: centre (J2000) and the radius within which it crowds."""

    name: str
    ra_deg: float
    dec_deg: float
    radius_arcmin: float


# The globular clusters of Harris 1996 (doi:10.1086/118116; edition of December 2010,
# https://physics.mcmaster.ca/~harris/mwgc.dat) at galactic latitudes beyond 15 degrees and declinations north of -30
# degrees, where the survey looked. The radius is the tidal one: the core's times ten to the power of the concentration.
# After them the two large galaxies of the Local Group, with half the diameter of the isophote of 25 mag/arcsec2 in B
# (RC3: de Vaucouleurs et al. 1991, VizieR VII/155).
CROWDED = tuple(
    Crowded(*row)
    for row in (
        ("NGC 288", 13.188, -26.583, 13.2),
        ("Whiting 1", 30.737, -3.253, 0.9),
        ("Pal 1", 53.333, 79.581, 3.7),
        ("Eridanus", 66.185, -21.187, 3.1),
        ("M 79", 81.046, -24.525, 8.0),
        ("NGC 2419", 114.535, 38.882, 7.5),
        ("Ko 2", 119.571, 26.255, 0.8),
        ("Pal 3", 151.383, 0.072, 4.0),
        ("Pal 4", 172.32, 28.974, 2.8),
        ("Ko 1", 179.827, 12.26, 1.0),
        ("NGC 4147", 182.526, 18.543, 6.1),
        ("M 68", 189.867, -26.744, 14.9),
        ("M 53", 198.23, 18.168, 18.4),
        ("NGC 5053", 199.113, 17.7, 11.4),
        ("M 3", 205.548, 28.377, 28.7),
        ("AM 4", 209.09, -27.168, 2.1),
        ("NGC 5466", 211.364, 28.534, 15.7),
        ("NGC 5634", 217.405, -5.976, 10.6),
        ("NGC 5694", 219.901, -26.539, 4.7),
        ("Pal 5", 229.022, -0.112, 7.6),
        ("NGC 5897", 229.352, -21.01, 10.1),
        ("M 5", 229.638, 2.081, 23.6),
        ("Pal 14", 242.752, 14.958, 5.2),
        ("M 80", 244.26, -22.976, 7.2),
        ("M 4", 245.897, -26.526, 51.8),
        ("NGC 6144", 246.808, -26.023, 33.4),
        ("M 107", 248.133, -13.054, 19.0),
        ("M 13", 250.422, 36.46, 21.0),
        ("NGC 6229", 251.745, 47.528, 3.8),
        ("M 12", 251.809, -1.949, 17.3),
        ("M 10", 254.288, -4.1, 18.5),
        ("Pal 15", 254.963, -0.539, 4.8),
        ("M 92", 259.281, 43.136, 12.4),
        ("IC 1257", 261.785, -7.093, 8.9),
        ("NGC 6366", 261.934, -5.08, 11.9),
        ("NGC 6426", 266.228, 3.17, 13.0),
        ("Pal 11", 296.31, -8.007, 4.4),
        ("M 75", 301.52, -21.921, 5.7),
        ("NGC 6934", 308.547, 7.404, 7.5),
        ("M 72", 313.365, -12.537, 7.5),
        ("NGC 7006", 315.372, 16.187, 4.4),
        ("M 15", 322.493, 12.167, 27.3),
        ("M 2", 323.363, -0.823, 12.4),
        ("M 30", 325.092, -23.18, 19.0),
        ("Pal 12", 326.662, -21.253, 19.1),
        ("Pal 13", 346.685, 12.772, 2.2),
        ("NGC 7492", 347.111, -15.611, 4.5),
        ("M 31", 10.685, 41.269, 95.0),
        ("M 33", 23.462, 30.66, 35.4),
    )
)
