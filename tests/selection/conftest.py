"""The small store of sky, and an encoder of it."""

from tests.evaluation.conftest import encoder, sky, sky_store, train_features, write_places, write_store

__all__ = ["encoder", "sky", "sky_store", "train_features", "write_places", "write_store"]
