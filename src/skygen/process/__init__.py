"""The sky as two superposed marked Poisson processes, stars and galaxies, of an endless plane."""
