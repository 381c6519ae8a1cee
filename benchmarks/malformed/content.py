"""Broken content in sound HTTP: bodies, fields, media types, paths and queries; and sound requests to spoil."""

import json
import random
from typing import Any, Final

JSON_TYPE: Final = b"Content-Type: application/json"
BODIES: Final = (
    b"",
    b" ",
    b"{",
    b"}",
    b"[]",
    b"[{}]",
    b"null",
    b"true",
    b"7",
    b'"tiles"',
    b"{}",
    b'{"tiles"}',
    b'{"tiles": }',
    b'{"tiles": "r64",}',
    b"{'tiles': 'r64'}",
    b'{tiles: "r64"}',
    b'{"tiles": "r64"} x',
    b'{"tiles": "r64"}{"tiles": "r64"}',
    b'{"tiles": "r64", // here\n "n": 1}',
    b'{"tiles": "r64", "n": NaN}',
    b'{"tiles": "r64", "n": Infinity}',
    b'{"tiles": "r64", "n": -Infinity}',
    b'{"tiles": "r64", "n": 1e999}',
    b'{"tiles": "r64", "n": 01}',
    b'{"tiles": "r64", "seed": ' + b"9" * 60_000 + b"}",
    b'{"tiles": "r64", "seed": "' + b"9" * 60_000 + b'"}',
    b'{"tiles": "r64", "seed": 1e400}',
    b'{"tiles": "\\ud800"}',
    b'{"tiles": "\\u0000"}',
    b'{"tiles": "r64\\u0000"}',
    b'{"tiles": "\x00"}',
    b'{"tiles": "\xff\xfe"}',
    b'{"tiles": "\xed\xa0\x80"}',
    b'{"tiles": "' + b"r" * 60_000 + b'"}',
    b'{"' + b"t" * 60_000 + b'": 1}',
    b'{"tiles": ' + b"[" * 30_000,
    b'{"tiles": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b"[" * 60_000,
    b"{" + b",".join(b'"%d":0' % number for number in range(6_000)) + b"}",
    b"[" + b"0," * 30_000 + b"0]",
    b"\xef\xbb\xbf" + b'{"tiles": "r65"}',
    '{"tiles": "r65"}'.encode("utf-16"),
    '{"tiles": "r65"}'.encode("utf-32-le"),
    b"tiles=r64&n=1",
    b"--x\r\nContent-Disposition: form-data; name=tiles\r\n\r\nr64\r\n--x--",
    b"<tiles>r64</tiles>",
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",  # a pickle
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*\xc9\xccI-V\xb2R*2U\xaa\x05\x00",  # gzip
)
VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        0.5,
        1e308,
        -0.0,
        257,
        2**31,
        2**53 + 1,
        2**63,
        -(2**63),
        10**30,
        "",
        " ",
        "0",
        "-1",
    ),
    *(
        "r64",
        "gri128",
        "champion",
        "survey",
        "none",
        "NaN",
        "1e3",
        "\u0663",
        "\0",
        "\ud800",
        "../r64",
        "a" * 5_000,
        "é",
    ),
    *([], [1], ["r64"], {}, {"tiles": "r64"}, [[[[[[[[]]]]]]]], {"__class__": "x"}, "npy", "png", "'; DROP TABLE--"),
)
REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/v1/generate", {"tiles": "r64", "n": 1, "seed": 7, "format": "npy", "model": "champion"}),
    ("/v1/interpolate", {"tiles": "r64", "seed": 7, "to": 8, "steps": 3, "format": "npy"}),
)
MEDIA_TYPES: Final = (
    b"Content-Type: text/plain",
    b"Content-Type: application/x-www-form-urlencoded",
    b"Content-Type: multipart/form-data; boundary=" + b"x" * 5_000,
    b"Content-Type: multipart/form-data",
    b"Content-Type: application/vnd.bentoml+pickle",
    b"Content-Type: application/json; charset=utf-7",
    b"Content-Type: application/json; charset=" + b"x" * 5_000,
    b"Content-Type: application/json;;;==",
    b"Content-Type: \xff/\xfe",
    b"Content-Type: application/json\r\nContent-Type: text/plain",
    b"Content-Type: text/plain\r\nContent-Type: application/json",
    b"Content-Type:",
    b"Content-Type: ;",
    b"Content-Type: json",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br, gzip",
    b"Accept: application/x-python-pickle",
    b"Accept: image/jpeg",
)
PATHS: Final = (
    *("/v1/tile/r64/7.png", "/v1/tile/r64/7.npy", "/v1/tile/r64/-1.npy", "/v1/tile/r64/99999999999999999999.fits"),
    *("/v1/tile/r64/7.exe", "/v1/tile/r64/.png", "/v1/tile/r64/7", "/v1/tile/%00/7.png", "/v1/tile/r65/7.png"),
    *(
        "/v1/tile/..%2f..%2fetc/7.png",
        "/v1/tile/r64/%D9%A3.png",
        "/v1/tile/r64/7.png/",
        "/v1/tile//7.png",
        "/v1/measure/r64/7",
    ),
    "/v1/measure/r64/7",
    *("/v1/measure/r64/x", "/v1/real/r64", "/v1/real/r64/0.png", "/v1/real/r64/-1.npy", "/v1/real/r64/999999999.fits"),
    *(
        "/page/../service.py",
        "/page/%2e%2e/service.py",
        "/page/%00",
        "/page/" + "a" * 5_000,
        "/v1/" + "a/" * 1_000,
        "/.env",
    ),
)
QUERY_NAMES: Final = ("index", "model", "noise", "seeing", "version", "first", "n", "", "index[]", "%00", "a" * 1_000)
QUERY_VALUES: Final = (
    *("0", "-1", "1e9", "99999999999999999999", "NaN", "inf", "none", "survey", "champion", "nobody", "", "%00", "%ff"),
    *("%F0%9F%98%80", "a" * 2_000, "../..", "[]", "{}", "0.5", "1,2", "true", "%25%25", "'", "0" * 64),
)
ACCEPTS: Final = (
    "*/*",
    "image/png",
    "application/fits",
    "image/*;q=0",
    "text/html",
    "",
    ";q=2",
    "application/x-npy;q=0.001",
    "\xff",
)


def good(rng: random.Random) -> bytes:
    """A body that is answered with a tile."""
    return json.dumps(
        {"tiles": "r64", "n": rng.randrange(1, 4), "seed": rng.randrange(10**9), "format": "npy"}
    ).encode()


def post_head(length: int, *headers: bytes, path: str = "/v1/generate") -> bytes:
    """The head of a POST whose body is `length` bytes of JSON unless `headers` say otherwise."""
    described = any(header.lower().startswith(b"content-type") for header in headers)
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: x", b"Connection: close", b"Content-Length: %d" % length]
    return b"\r\n".join([*lines, *([] if described else [JSON_TYPE]), *headers, b"", b""])


def post(body: bytes, *headers: bytes, path: str = "/v1/generate") -> bytes:
    """A POST of `body`."""
    return post_head(len(body), *headers, path=path) + body


def chunked_head(rng: random.Random) -> bytes:
    """The head of a POST whose body comes in chunks."""
    path = rng.choice([b"/v1/generate", b"/v1/interpolate"])
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
