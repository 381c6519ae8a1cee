"""Keys: who gets in, what a wrong key learns, and which lists of keys the service refuses to start with."""

import asyncio
import hmac
import json
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Scope

from serving.http.auth import ApiKeys, Keyring, read_keys
from tests.serving.local import echo

FIRST, SECOND = "first-key-0123456789", "second+key/0123456789=="
FREE = ("/", "/livez", "/page/")


async def ask(path: str, *authorization: str) -> list[Message]:
    """Every message with which a service that takes two keys answers."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", value.encode("latin-1")) for value in authorization]
    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    await ApiKeys(echo, Keyring((FIRST, SECOND)), FREE)(scope, receive, send)
    return sent


def status(path: str, *authorization: str) -> int:
    return int(asyncio.run(ask(path, *authorization))[0]["status"])


@pytest.mark.parametrize(
    "authorization", [f"Bearer {FIRST}", f"Bearer {SECOND}", f"bearer {FIRST}", f"Bearer  {FIRST} "]
)
def test_each_key_lets_in(authorization: str) -> None:
    assert status("/v1/generate", authorization) == 200


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer ",),
        (f"Bearer {FIRST[:-1]}",),
        (f"Bearer {FIRST}0",),
        (f"Bearer {FIRST.upper()}",),
        (f"Bearer {FIRST},{SECOND}",),
        (f"Basic {FIRST}",),
        (f"Token {FIRST}",),
        (FIRST,),
        ("Bearer \xff\xfe",),
        (f"Bearer {FIRST}", f"Bearer {FIRST}"),
        ("Bearer wrong-key-0123456789", f"Bearer {FIRST}"),
    ],
)
def test_nothing_else_does(authorization: tuple[str, ...]) -> None:
    assert status("/v1/generate", *authorization) == 401


@pytest.mark.parametrize("path", ["/", "/livez", "/page/app.js"])
def test_free_paths_need_no_key(path: str) -> None:
    assert status(path) == 200


@pytest.mark.parametrize(
    "path", ["/v1/models", "/docs.json", "/metrics", "/page", "//", "/livez/", "/livez/x", "/pages/x", ""]
)
def test_every_other_path_needs_one(path: str) -> None:
    assert status(path) == 401


def test_a_refusal_says_how_to_get_in_and_is_counted() -> None:
    before = REGISTRY.get_sample_value("skygen_rejected_total", {"reason": "auth"}) or 0.0
    start, body, _ = asyncio.run(ask("/v1/models", "Bearer wrong-key-0123456789"))
    assert dict(start["headers"])[b"www-authenticate"] == b"Bearer"
    assert json.loads(body["body"]) == {"error": "send a valid key: Authorization: Bearer KEY"}
    assert REGISTRY.get_sample_value("skygen_rejected_total", {"reason": "auth"}) == before + 1


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time of an answer does not tell where in the list a key stands; digests are of one length."""
    compared: list[tuple[int, int]] = []

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", noting)
    for authorization in (f"Bearer {FIRST}", f"Bearer {SECOND}", "Bearer x", "Basic x"):
        status("/v1/models", authorization)
    assert compared == [(32, 32)] * 8


def test_the_lifespan_passes() -> None:
    called: list[str] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        called.append(scope["type"])

    async def never() -> Message:
        raise AssertionError

    async def nothing(_: Message) -> None:
        raise AssertionError

    asyncio.run(ApiKeys(app, Keyring([FIRST]))({"type": "lifespan"}, never, nothing))
    assert called == ["lifespan"]


def test_keys_come_from_the_list_and_the_file_each_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# who may call\n\n{SECOND}  # the observatory\n{FIRST}\r\n")
    listed, filed = {FIRST: "key 1 of SKYGEN_API_KEYS"}, {SECOND: "the observatory"}
    assert read_keys([FIRST], file) == listed | filed
    assert read_keys([FIRST]) == listed
    assert read_keys(file=file) == filed | {FIRST: "key 2 of SKYGEN_API_KEYS_FILE"}
    assert read_keys() == {}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([""], r"key 1 of SKYGEN_API_KEYS has 0 characters; it takes at least 16"),
        ([FIRST, "fifteen-letters"], r"key 2 of SKYGEN_API_KEYS has 15 characters"),
        (["sixteen letters!"], "key 1 of SKYGEN_API_KEYS holds other characters than"),
        (["schlüssel-schlüssel"], "holds other characters than"),
    ],
)
def test_weak_keys_end_the_start_with_a_reason_that_tells_none(keys: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        read_keys(keys)
    assert not any(key and key in str(refused.value) for key in keys)


def test_a_file_without_keys_does_not_open_the_service(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# none yet\n")
    with pytest.raises(ValueError, match=r"SKYGEN_API_KEYS_FILE .* holds no key"):
        read_keys([FIRST], file)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_keys([FIRST], tmp_path / "missing")
