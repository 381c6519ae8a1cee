"""Keys, CORS and the metrics as an operator sets them, through the port of the whole service."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.served import Service, served

KEY, FILED = "a-key-of-the-list-0123456789", "a-key-of-the-file-0123456789"
PAGE = "https://observatory.example"
TILE = {"tiles": "r64", "format": "npy"}


@pytest.fixture(scope="module")
def guarded(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys").write_text(f"{FILED}  # of the archive\n")
    settings = {
        "SKYGEN_API_KEYS": KEY,
        "SKYGEN_API_KEYS_FILE": str(folder / "keys"),
        "SKYGEN_CORS_ORIGINS": PAGE,
        "SKYGEN_METRICS": "keys",
    }
    with served(folder, settings, bundles) as service:
        yield service


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("key", [KEY, FILED])
def test_a_key_opens_what_the_service_has(guarded: Service, key: str) -> None:
    answer = httpx.post(f"{guarded.url}/v1/generate", json=TILE, headers=bearer(key))
    assert answer.status_code == 200
    for path in ("/v1/models", "/docs.json", "/metrics"):
        assert httpx.get(guarded.url + path, headers=bearer(key)).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer("a-key-of-nobody-0123456789"), {"Authorization": f"Basic {KEY}"}])
def test_without_one_only_health_and_the_page_answer(guarded: Service, headers: dict[str, str]) -> None:
    refused = httpx.post(f"{guarded.url}/v1/generate", json=TILE, headers=headers)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert refused.json() == {"error": "send a valid key: Authorization: Bearer KEY"}
    for path in ("/v1/models", "/v1/tile/r64/7.png", "/docs.json", "/metrics", "/nowhere"):
        assert httpx.get(guarded.url + path, headers=headers).status_code == 401
    for path in ("/livez", "/readyz", "/", "/page/page.css"):
        assert httpx.get(guarded.url + path, headers=headers).status_code == 200


def test_a_cache_keeps_what_took_a_key_for_its_client_alone(guarded: Service) -> None:
    with httpx.Client(base_url=guarded.url, headers=bearer(KEY)) as keyed:
        version = next(card["sha256"] for card in keyed.get("/v1/models").json()["models"] if card["tiles"] == "r64")
        kept = keyed.get(f"/v1/tile/r64/7.png?version={version}")
    assert kept.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_no_key_is_ever_logged(guarded: Service) -> None:
    for key in (KEY, "a-wrong-key-of-a-client-0123"):
        httpx.get(f"{guarded.url}/v1/models", headers=bearer(key))
        httpx.get(f"{guarded.url}/v1/tile/r64/7.png?model=nobody", headers=bearer(key))
    log = guarded.log.read_text()
    assert log
    assert not [key for key in (KEY, FILED, "a-wrong-key-of-a-client-0123") if key in log]


def test_pages_of_the_named_site_may_call_and_others_not(guarded: Service) -> None:
    """A preflight carries no key and needs none; the call itself does."""
    wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for origin, allowed in ((PAGE, PAGE), ("https://elsewhere.example", None)):
        url = f"{guarded.url}/v1/generate"
        preflight = httpx.options(url, headers={"Origin": origin, **wants})
        assert (preflight.status_code == 200) == (origin == PAGE)
        assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
        call = httpx.post(url, json=TILE, headers={"Origin": origin, **bearer(KEY)})
        assert call.status_code == 200
        assert call.headers.get("Access-Control-Allow-Origin") == allowed
        unknown = httpx.post(url, json=TILE, headers={"Origin": origin})
        assert (unknown.status_code, unknown.headers.get("Access-Control-Allow-Origin")) == (401, allowed)


def test_unless_set_there_is_neither_key_nor_cors(client: httpx.Client) -> None:
    answer = client.post("/v1/generate", json=TILE, headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options("/v1/generate", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}).is_error
    assert client.get("/metrics").status_code == 200
