"""What the service refuses through a real port: always a sentence, never an error of ours, never a trace."""

import json
from typing import Any

import httpx
import pytest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tiles", "r65"),
        ("tiles", "../r64"),
        ("tiles", ""),
        ("tiles", None),
        ("tiles", ["r64"]),
        ("n", 0),
        ("n", 257),
        ("n", -1),
        ("n", 1.5),
        ("n", True),
        ("n", "2"),
        ("n", float("nan")),
        ("n", float("inf")),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 0.5),
        ("seed", float("nan")),
        ("seed", "1e3"),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("seed", "٣"),
        ("seed", None),
        ("format", "jpg"),
        ("model", "nobody"),
        ("model", 3),
        ("noise", "none"),
        ("noise", 0.03),
        ("noise", float("inf")),
        ("noise", "much"),
        ("noise", None),
        ("noise", []),
        ("noise", True),
        ("noise", 0),
        ("seeing", 1.2),
        ("seeing", "none"),
        ("seeing", 5),
        ("seeing", {}),
        ("sed", 7),
    ],
)
def test_bad_input_is_refused_by_name(client: httpx.Client, field: str, value: Any) -> None:
    content = json.dumps({"tiles": "r64", field: value})
    response = client.post("/v1/generate", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    (problem,) = response.json()["detail"]
    assert problem["loc"] == [field]
    assert problem["msg"]


@pytest.mark.parametrize(
    ("request_", "choice"),
    [
        ({"tiles": "r65"}, "there is r64, gri128"),
        ({"tiles": "gri128", "model": "improved"}, "there is champion, gan, scene"),
        ({"tiles": "r64", "noise": "none"}, "recipe improved paints its noise; it takes 'survey' alone"),
        ({"tiles": "r64", "seeing": 1.2}, "recipe improved paints its seeing; it takes 'survey' alone"),
        ({"tiles": "gri128", "model": "scene", "noise": 11}, "a level above 0 and at most 10.0 nmgy"),
        ({"tiles": "gri128", "model": "scene", "seeing": 0.5}, "a FWHM from 0.6 to 3.0 arcsec"),
    ],
)
def test_a_refusal_says_what_there_is(client: httpx.Client, request_: dict[str, str], choice: str) -> None:
    assert choice in client.post("/v1/generate", json=request_).json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[", "[1]", "[" * 30_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "null", "tiles=r64"),
        *('{"tiles": "\\ud800"}', '{"tiles": "r64\\u0000"}', '{"tiles": "r64",}', '{"seed": ' + "9" * 5_000),
        *('{"tiles": "r64", "seed": 1e400}', '{"tiles": "r64", "n": 01}'),
        *('{"tiles": "r64", "n": NaN}', '{"tiles": "r64", "n": -Infinity}', '{"tiles": "r64"} x', '{"tiles": "r64"}{}'),
        *(b"\xef\xbb\xbf" + b'{"tiles": "r65"}', '{"tiles": "r65"}'.encode("utf-16"), b'{"tiles": "\xed\xa0\x80"}'),
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",  # a pickle
    ],
)
def test_no_body_is_an_error_of_ours(client: httpx.Client, content: str | bytes) -> None:
    response = client.post("/v1/generate", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data", "application/vnd.bentoml+pickle"]
)
def test_only_json_is_read(client: httpx.Client, media_type: str) -> None:
    response = client.post("/v1/generate", content="tiles=" + "[" * 20_000, headers={"Content-Type": media_type})
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["error"]


def test_a_large_body_is_refused_declared_or_not(client: httpx.Client) -> None:
    padded = json.dumps({"tiles": "r64"}).encode() + b" " * 64_000
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/generate", content=padded, headers=headers).status_code == 413
    chunks = (padded[start : start + 1_000] for start in range(0, len(padded), 1_000))
    assert client.post("/v1/generate", content=chunks, headers=headers).status_code == 413
    assert client.post("/v1/generate", content=padded[:64_000], headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/v1/generate/", "/v1/models/r64", "/static_content/none.js"])
def test_an_unknown_path_is_told_the_routes_and_leaves_no_trace_in_the_metrics(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"].startswith("no such route; there is /v1/catalogue, /v1/generate, /v1/interpolate, ")
    assert path not in client.get("/metrics").text


def test_a_route_is_told_what_it_takes(client: httpx.Client) -> None:
    response = client.get("/v1/generate")
    assert response.status_code == 405
    assert response.json() == {"error": "GET is not for this route; see /docs.json"}
    assert response.headers["Allow"] == "POST"
