"""How the survey's telescope and CCDs spread light, in numbers: the PSF, the glow and spikes of stars, the full well.

The PSF has the form of the survey's own model, two Gaussians and a power-law wing (photo's psField; Lupton et al. 2001,
https://arxiv.org/abs/astro-ph/0101420), and the shares that the stars of eight fields ask for (`benchmarks/stars.py`):
in field 94-1-12 that model says 0.745, 0.170 and 0.085, by which real stars have 0.92 of the light in their middle and
1.5 times as much at 6 to 17 px. Glow and spikes were measured around the brightest stars of three fields, from 15 to
110 px.
"""

CORE_SHARE, SHOULDER_SHARE, WING_SHARE = 0.610, 0.265, 0.125  # of the flux
SHOULDER_WIDTH, WING_WIDTH = 2.02, 3.2  # in widths of the core
WING_BETA = 1.5  # of a Moffat profile: brightness falls as distance to the power -3
GLOW = {"g": (0.003, 45.0), "r": (0.003, 45.0), "i": (0.034, 25.0)}  # share of the flux, scale in px: light in the CCD
SPIKE_SHARE = 1.3e-5  # of the flux, a pixel, on an arm of the cross at the star
SPIKE_SCALE_PX = 30.0
FULL_WELL_COUNTS = (32000.0, 58000.0)  # least and most, of different CCDs
# From the darkest to the brightest sky.
CALIBRATION_NMGY_PER_COUNT = {"g": (0.0041, 0.0032), "r": (0.0052, 0.00475), "i": (0.0064, 0.0070)}
