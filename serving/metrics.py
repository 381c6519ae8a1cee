"""What the service counts, beside the requests that BentoML counts."""

from prometheus_client import Counter, Histogram

TILES_GENERATED = Counter("skygen_tiles_generated", "Tiles generated", ["tiles", "recipe"])
GENERATION_SECONDS = Histogram(
    "skygen_generation_seconds",
    "Seconds to generate the tiles of a request, without encoding them",
    ["tiles", "recipe"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_TILES = Histogram(
    "skygen_batch_tiles", "Tiles asked for in a request", ["tiles"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
