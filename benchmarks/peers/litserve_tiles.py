"""LitServe, an answer a request or in batches: `python -m benchmarks.peers.litserve_tiles --port 1 --batch 8`."""

from argparse import ArgumentParser
from collections.abc import Sequence

import litserve
from fastapi import Response

from benchmarks.peers.model import MEDIA_TYPES, Ask, bundle_of, file_of
from skygen.bundle.tile import Tile

BATCH_SECONDS = 0.005  # for which a batch that is not full waits


class Singly(litserve.LitAPI):  # type: ignore[misc]  # litserve has no types
    """A pass a request."""

    def decode_request(self, request: Ask) -> Ask:
        """The body, which its type has checked."""
        return request

    def predict(self, ask: Ask) -> Response:
        """The tiles of a seed."""
        flux = bundle_of(ask.tiles, ask.engine).generate(ask.seed, ask.n)
        return Response(file_of(flux, ask), media_type=MEDIA_TYPES[ask.format])


class InBatches(litserve.LitAPI):  # type: ignore[misc]
    """A pass for a batch of requests, all of one tile each, of one set and by one engine, as a measurement has."""

    def decode_request(self, request: Ask) -> Ask:
        """The body, which its type has checked."""
        return request

    def predict(self, asked: Sequence[Ask]) -> list[Response]:
        """The tile of each request's seed."""
        flux = bundle_of(asked[0].tiles, asked[0].engine).draw([Tile(ask.seed) for ask in asked])
        return [
            Response(file_of(tile[None], ask), media_type=MEDIA_TYPES[ask.format])
            for tile, ask in zip(flux, asked, strict=True)
        ]


def main() -> None:
    """Serve at 127.0.0.1 until stopped."""
    parser = ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.batch == 1:
        api = Singly(api_path="/generate")
    else:
        api = InBatches(max_batch_size=arguments.batch, batch_timeout=BATCH_SECONDS, api_path="/generate")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=arguments.workers)
    server.run(host="127.0.0.1", port=arguments.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
