"""A plain FastAPI endpoint: a function in the thread pool, a pass a request. Run by uvicorn, with uvloop."""

from fastapi import FastAPI, Response

from benchmarks.peers.model import MEDIA_TYPES, Ask, bundle_of, file_of

app = FastAPI()


@app.post("/generate")
def generate(ask: Ask) -> Response:
    """The tiles of a seed."""
    flux = bundle_of(ask.tiles, ask.engine).generate(ask.seed, ask.n)
    return Response(file_of(flux, ask), media_type=MEDIA_TYPES[ask.format])
