"""What each metric means: its value for perfect tiles, what it is and how to read it. Reports print it."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """What a metric says: its value for perfect tiles, what it is in words, how to read it, and who defined it."""

    ideal: float
    caption: str
    reading: str
    source: str = ""


_KYNKAANNIEMI = "Kynkäänniemi et al. 2019, arXiv:1904.06991"
_NAEEM = "Naeem et al. 2020, arXiv:2002.09797"
_C2ST = "Lopez-Paz & Oquab 2017, arXiv:1610.06545"

MEANINGS = {  # by key in metrics.json, where a dot nests
    "accuracy": Meaning(
        1,
        "table 4's cell: precision, recall and coverage over the real tiles' own, harmonic mean",
        "1 is as good as real tiles, 0 is unreal or collapsed; it cannot be high where one of its parts is low.",
    ),
    "precision": Meaning(
        1,
        "share of generated tiles inside the manifold of real ones",
        "How many generated tiles look real; a generator that repeats one good tile is perfect here, so read it "
        "with recall, and beside its real-real value, which is below 1.",
        _KYNKAANNIEMI,
    ),
    "recall": Meaning(
        1,
        "share of real tiles inside the manifold of generated ones",
        "How much of the sky the generator can paint; 0 is collapse, and tiles spread too widely reach the whole sky.",
        _KYNKAANNIEMI,
    ),
    "density": Meaning(
        1,
        "how many real neighbourhoods a generated tile lies in, over what is expected",
        "Like precision, but no single odd real tile can lift it; above 1, generated tiles crowd where real tiles "
        "are most common.",
        _NAEEM,
    ),
    "coverage": Meaning(
        1,
        "share of real neighbourhoods with a generated tile in them",
        "Like recall, but tiles spread too widely do not lift it; two sets of the same sky reach 0.97.",
        _NAEEM,
    ),
    "frechet": Meaning(
        0,
        "Fréchet distance of features",
        "The distance by which the champion is chosen: how far mean and spread of the encoder's features differ; "
        "it is above 0 even between real tiles, so divide it by its real-real value in mind.",
        "Heusel et al. 2017, arXiv:1706.08500",
    ),
    "kernel": Meaning(
        0,
        "kernel distance of features (squared maximum mean discrepancy)",
        "Like frechet without its assumption of normal features, and 0 on average, at times a little below, where "
        "nothing differs.",
        "Bińkowski et al. 2018, arXiv:1801.01401",
    ),
    "c2st.features": Meaning(
        0.5,
        "share of tiles that a classifier of features puts right, generated or real",
        "0.5 cannot be told apart, 1 is told apart every time; 2 (1 - c2st) is the share that passes.",
        _C2ST,
    ),
    "c2st.pixels": Meaning(
        0.5,
        "share of tiles that a small network puts right by their pixels, generated or real",
        "The hardest judge: it reaches 1 for every generator that paints its noise wrongly, however good the rest, and "
        "then no longer ranks.",
        _C2ST,
    ),
    "pixel_w1": Meaning(
        0,
        "flux histograms under the fixed stretch, distance",
        "How far pixel brightnesses differ, wherever in the tile they are: noise, sky level and light of sources.",
    ),
    "power_spectrum": Meaning(
        0,
        "radial power spectra, log distance",
        "How far structure differs from coarse to fine: blur, grain and lattices; ln c where all power is c times "
        "the real one.",
    ),
    "sky_noise": Meaning(
        1,
        "background noise, generated / real",
        "The paper's fewer noise points as a number: below 1 the tiles are too smooth, above 1 too noisy.",
    ),
    "noise_correlation": Meaning(
        0,
        "correlation of neighbouring background pixels, root mean square difference",
        "Real noise is all but white; noise that is smoothed, copied or lies on a lattice shows here at any level.",
    ),
    "sources.per_tile": Meaning(
        1,
        "mean number of sources a tile, generated / real",
        "Below 1 the sky is too empty, above 1 too full.",
    ),
    "sources.number": Meaning(
        0,
        "number of sources a tile, distance",
        "In sources: by how many the number in a tile has to change on average to match the real tiles.",
    ),
    "sources.magnitude": Meaning(
        0, "r magnitudes of sources, distance in mag", "By how much brightnesses of sources are off on average."
    ),
    "sources.half_light_radius": Meaning(
        0, "half-light radii of sources, distance in px", "By how much sizes of sources are off on average."
    ),
    "sources.ellipticity": Meaning(
        0,
        "ellipticities of sources, distance",
        "By how much shapes of sources are off on average, from 0, round, to 1.",
    ),
    "sources.g_r": Meaning(
        0, "g - r colours of sources, distance in mag", "By how much g - r colours of sources are off on average."
    ),
    "sources.r_i": Meaning(
        0, "r - i colours of sources, distance in mag", "By how much r - i colours of sources are off on average."
    ),
    "diversity": Meaning(
        1,
        "difference between tiles, generated (scenes: free of noise) / real; 0 is collapse",
        "Needs no encoder, and pure noise can pass it, so read it with sources; perfect scenes, measured without "
        "noise, reach about 0.9.",
    ),
    "memorised": Meaning(
        0.5,
        "share of pairs in which the generated tile is nearer to a training tile than the real one is",
        "0.5 is right and 1 copies the training tiles; below 0.5 the tiles are stranger than the sky, which is "
        "another fault.",
        "after Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675",
    ),
    "discriminator_accuracy": Meaning(
        0.5,
        "the discriminator's own accuracy; 0.5 is equilibrium, higher not better",
        "What GAN code of 2018 printed; it says how the game stands between two networks, not how good the tiles are.",
    ),
}
