"""What a deployment asks of a service: whether it is ready, what it serves, whether it draws."""

import io

import httpx
import numpy as np

from skygen.deploy.clock import Deadline
from skygen.deploy.place import HOST, Catalogue
from skygen.deploy.services import Started

_SEED = 7
_TILES = 32  # of a call: the sky noise of a handful depends on one bright galaxy


def asking(started: Started) -> httpx.Client:
    """A client of a service that was just started; no proxy of the environment lies between."""
    headers = {"Authorization": f"Bearer {started.key}"} if started.key else {}
    return httpx.Client(base_url=f"http://{HOST}:{started.serving.port}", headers=headers, timeout=60, trust_env=False)


def await_ready(started: Started, client: httpx.Client, seconds: float) -> None:
    """Wait until a service is ready; raises `ValueError` with the end of its log where it ends, or is not in time."""
    limit = Deadline(seconds)
    while limit.waits():
        if started.process.poll() is not None:
            raise ValueError(
                f"the new service ended with status {started.process.returncode} and serves nothing; a Bento of an "
                "earlier version of skygen is packaged anew by dvc repro --force --single-item package; "
                f"the end of {started.log}:\n{started.log_end()}"
            )
        try:
            if client.get("/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
    raise ValueError(
        f"the new service was not ready within {seconds:g} s; the end of {started.log}:\n{started.log_end()}"
    )


def check_served(client: httpx.Client, catalogue: Catalogue) -> None:
    """Raise `ValueError` where a service serves other bundles than those of a release, or cannot draw a set's tile."""
    models = _answer(client, "/v1/models").json()["models"]
    served = {f"{model['tiles']}/{model['recipe']}": model["sha256"] for model in models}
    champions = {model["tiles"]: model["recipe"] for model in models if model["champion"]}
    if (served, champions) != (catalogue.sha256, catalogue.champions):
        raise ValueError(f"the new service serves {served} with champions {champions}, not what the release holds")
    for tiles in catalogue.champions:
        flux = np.load(io.BytesIO(_answer(client, f"/v1/tile/{tiles}/{_SEED}.npy").content), allow_pickle=False)
        if not np.isfinite(flux).all():
            raise ValueError(f"the new service draws a tile of {tiles} with pixels that are no numbers")


def draw_some(client: httpx.Client, catalogue: Catalogue, seed: int) -> None:
    """Have a service draw tiles of every set, for it to measure them; what comes of it stands in its metrics."""
    for tiles in catalogue.champions:
        client.post("/v1/generate", json={"tiles": tiles, "n": _TILES, "seed": seed, "format": "npy"})


def _answer(client: httpx.Client, path: str) -> httpx.Response:
    answer = client.get(path)
    if not answer.is_success:
        raise ValueError(f"the new service answers {path} with {answer.status_code}: {answer.text[:300]}")
    return answer
