"""What an operator sets and sees, through the port of the whole service: keys, CORS, metrics, and a line a request."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.http.auth import LOOK_SECONDS
from serving.http.instrumentation import EVERY_SECONDS
from tests.harness.served import Service, served

OLD, NEW, LISTED = "an-old-key-of-alice-0123456", "a-new-key-of-alice-0123456", "a-key-of-the-list-0123456789"
IN_QUERY = "a-word-of-the-query"
WRONG = "a-key-of-nobody-0123456789"
PAGE = "https://observatory.example"
TILE = {"tiles": "r64", "format": "npy"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"{OLD}  # alice\n")
    return file


@pytest.fixture(scope="module")
def service(bundles: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "SKYGEN_API_KEYS_FILE": str(keys),
        "SKYGEN_API_KEYS": LISTED,
        "SKYGEN_CORS_ORIGINS": PAGE,
        "SKYGEN_METRICS": "keys",
    }
    with served(tmp_path_factory.mktemp("service"), settings, bundles) as started:
        yield started


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def get(service: Service, path: str, key: str | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(service.url + path, headers=named | (bearer(key) if key else {}))


def lines(service: Service) -> list[dict[str, Any]]:
    time.sleep(2 * EVERY_SECONDS)
    return [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]


def test_a_request_leaves_a_line_of_json_without_secrets(service: Service) -> None:
    answer = get(service, f"/v1/tile/r64/7.npy?index=3&noise={IN_QUERY}", OLD, X_Request_ID="of-the-client:1")
    [line] = [line for line in lines(service) if line["id"] == "of-the-client:1"]
    assert answer.headers["X-Request-ID"] == "of-the-client:1"
    assert (line["key"], line["method"], line["path"]) == ("alice", "GET", "/v1/tile/r64/7.npy")
    assert (line["route"], line["status"]) == ("/v1/tile/{tiles}/{seed}.{format}", answer.status_code)
    assert (line["bytes"], line["client"]) == (len(answer.content), "127.0.0.1")
    assert 0 < line["seconds"] < 60
    assert not [secret for secret in (IN_QUERY, OLD, LISTED) if secret in service.log.read_text()]


def test_a_key_of_the_list_is_named_by_its_place_and_a_wrong_one_not_at_all(service: Service) -> None:
    named, refused = get(service, "/v1/models", LISTED), get(service, "/v1/models", WRONG)
    by_id = {line["id"]: line for line in lines(service)}
    assert by_id[named.headers["X-Request-ID"]]["key"] == "key 1 of SKYGEN_API_KEYS"
    assert (by_id[refused.headers["X-Request-ID"]]["key"], refused.status_code) == (None, 401)


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "a\tb", '"}{"'])
def test_an_id_that_is_none_is_replaced(service: Service, sent: str) -> None:
    given = get(service, "/livez", X_Request_ID=sent).headers["X-Request-ID"]
    assert given != sent
    assert len(given) == 16


def test_probes_that_are_answered_well_are_not_logged(service: Service) -> None:
    before = len(lines(service))
    assert [get(service, path, LISTED).status_code for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
    assert len(lines(service)) == before
    assert get(service, "/metrics").status_code == 401
    assert len(lines(service)) == before + 1


@pytest.mark.parametrize(
    "path", ["/", "/page/app.js", "/livez", "/metrics", "/docs.json", "/v1/models", "/nowhere", "/v1/tile/r64/7.png"]
)
@pytest.mark.parametrize("key", [LISTED, None])
def test_every_answer_forbids_to_guess_its_type(service: Service, path: str, key: str | None) -> None:
    assert get(service, path, key).headers.get_list("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("key", [LISTED, OLD])
def test_a_key_opens_what_the_service_has(service: Service, key: str) -> None:
    answer = httpx.post(f"{service.url}/v1/generate", json=TILE, headers=bearer(key))
    assert answer.status_code == 200
    for path in ("/v1/models", "/docs.json", "/metrics"):
        assert httpx.get(service.url + path, headers=bearer(key)).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer(WRONG), {"Authorization": f"Basic {LISTED}"}])
def test_without_one_only_health_and_the_page_answer(service: Service, headers: dict[str, str]) -> None:
    refused = httpx.post(f"{service.url}/v1/generate", json=TILE, headers=headers)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert refused.json() == {"error": "send a valid key: Authorization: Bearer KEY"}
    for path in ("/v1/models", "/v1/tile/r64/7.png", "/docs.json", "/metrics", "/nowhere"):
        assert httpx.get(service.url + path, headers=headers).status_code == 401
    for path in ("/livez", "/readyz", "/", "/page/page.css"):
        assert httpx.get(service.url + path, headers=headers).status_code == 200


def test_a_cache_keeps_what_took_a_key_for_its_client_alone(service: Service) -> None:
    with httpx.Client(base_url=service.url, headers=bearer(LISTED)) as keyed:
        version = next(card["sha256"] for card in keyed.get("/v1/models").json()["models"] if card["tiles"] == "r64")
        kept = keyed.get(f"/v1/tile/r64/7.png?version={version}")
    assert kept.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_no_key_is_ever_logged(service: Service) -> None:
    for key in (LISTED, WRONG):
        httpx.get(f"{service.url}/v1/models", headers=bearer(key))
        httpx.get(f"{service.url}/v1/tile/r64/7.png?model=nobody", headers=bearer(key))
    log = service.log.read_text()
    assert log
    assert not [key for key in (LISTED, OLD, WRONG) if key in log]


def test_pages_of_the_named_site_may_call_and_others_not(service: Service) -> None:
    """A preflight carries no key and needs none; the call itself does."""
    wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for origin, allowed in ((PAGE, PAGE), ("https://elsewhere.example", None)):
        url = f"{service.url}/v1/generate"
        preflight = httpx.options(url, headers={"Origin": origin, **wants})
        assert (preflight.status_code == 200) == (origin == PAGE)
        assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
        call = httpx.post(url, json=TILE, headers={"Origin": origin, **bearer(LISTED)})
        assert call.status_code == 200
        assert call.headers.get("Access-Control-Allow-Origin") == allowed
        unknown = httpx.post(url, json=TILE, headers={"Origin": origin})
        assert (unknown.status_code, unknown.headers.get("Access-Control-Allow-Origin")) == (401, allowed)


def test_keys_are_read_again_when_their_file_changes(service: Service, keys: Path) -> None:
    """First a new key, then a file that holds none, then none at all: the last good ones stay, and metrics say so."""

    def statuses() -> list[int]:
        time.sleep(1.1 * LOOK_SECONDS)
        return [get(service, "/v1/models", key).status_code for key in (OLD, NEW, LISTED, None)]

    def stale() -> bool:
        return "\nskygen_keys_stale 1.0\n" in get(service, "/metrics", LISTED).text

    assert statuses() == [200, 401, 200, 401]
    keys.write_text(f"{NEW}  # alice\n")
    assert statuses() == [401, 200, 200, 401]
    keys.write_text("# half written\n")
    assert statuses() == [401, 200, 200, 401]
    assert stale()
    keys.unlink()
    assert statuses() == [401, 200, 200, 401]
    assert stale()
    keys.write_text(f"{OLD}\n")
    assert statuses() == [200, 401, 200, 401]
    assert not stale()
