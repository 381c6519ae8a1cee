"""Which proxy the environment names for an address: as other programs read the same variables."""

import re

import pytest

from skygen.web import ProxyError, proxy_for

PROXY = "http://proxy.example:3128"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD")


@pytest.fixture
def environment(monkeypatch):
    """A function: set these variables of proxies, and no others."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return change


@pytest.mark.parametrize(
    ("values", "url", "expected"),
    [
        ({}, "http://sky:3000", None),
        ({"HTTP_PROXY": PROXY}, "http://sky:3000", PROXY),
        ({"http_proxy": PROXY, "HTTP_PROXY": "http://other:1"}, "http://sky", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://sky", None),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://other:1"}, "https://sky", PROXY),
        ({"ALL_PROXY": "proxy.example:3128"}, "https://sky", PROXY),
        ({"HTTP_PROXY": PROXY, "ALL_PROXY": "nonsense://[", "HTTPS_PROXY": "://"}, "http://sky", PROXY),
        ({"HTTP_PROXY": "", "ALL_PROXY": ""}, "http://sky", None),
        ({"HTTP_PROXY": f" {PROXY} "}, "http://sky", PROXY),
    ],
)
def test_the_variable_of_the_scheme_counts_before_the_one_of_all(environment, values, url, expected):
    environment(**values)
    found = proxy_for(url)
    assert (found and found.url) == expected


@pytest.mark.parametrize(
    ("exceptions", "url"),
    [
        ("*", "http://sky"),
        ("other, *", "http://sky"),
        ("localhost,127.0.0.1,::1,[::1]", "http://localhost:3000"),
        ("[::1]", "http://[::1]:3000"),
        ("::1", "http://[::1]:3000"),
        ("[::1]:3000", "http://[::1]:3000"),
        ("fe80::/10", "http://[fe80::1]"),
        ("[fe80::]/10", "http://[fe80::1]"),
        ("10.0.0.0/8", "http://10.1.2.3:3000"),
        ("10.1.2.3/8", "http://10.9.9.9"),
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("sky", "http://SKY:3000"),
        ("Example.com", "http://a.example.com"),
        (".example.com", "http://example.com"),
        ("*.example.com", "http://a.example.com"),
        ("sky:3000", "http://sky:3000"),
        ("sky:80", "http://sky"),
        ("http://sky", "http://sky"),
        (" one , sky ,two", "http://sky"),
        ("one sky", "http://sky"),
        ("[,10.0.0.0/99,a:b:c/d,,sky", "http://sky"),
    ],
)
def test_what_no_proxy_excepts_is_called_without(environment, exceptions, url):
    environment(HTTP_PROXY=PROXY, NO_PROXY=exceptions)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    ("exceptions", "url"),
    [
        ("", "http://sky"),
        ("fe80::/10", "http://localhost"),
        ("10.0.0.0/8", "http://11.0.0.1"),
        ("ky", "http://sky"),
        ("example.com", "http://notexample.com"),
        ("sky:3001", "http://sky:3000"),
        ("::1", "http://[::2]"),
        ("[", "http://sky"),
        ("[::1", "http://sky"),
        (".", "http://sky"),
    ],
)
def test_what_no_proxy_does_not_except_is_called_through_the_proxy(environment, exceptions, url):
    environment(HTTP_PROXY=PROXY, NO_PROXY=exceptions)
    assert str(proxy_for(url)) == f"the proxy {PROXY} that HTTP_PROXY names"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080", "SCHEME one of http, https, socks5, socks5h"),
        ("all_proxy", "socks4://127.0.0.1:1080", "SCHEME one of http, https, socks5, socks5h"),
        ("HTTP_PROXY", "http://", "SCHEME://HOST:PORT"),
        ("HTTP_PROXY", "http://proxy:port", "SCHEME://HOST:PORT"),
        ("HTTP_PROXY", "http://proxy:99999", "SCHEME://HOST:PORT"),
        ("HTTP_PROXY", "http://[::1", "SCHEME://HOST:PORT"),
        ("HTTP_PROXY", "http://pro\nxy:1", "SCHEME://HOST:PORT"),
    ],
)
def test_a_proxy_that_is_none_is_refused_by_its_variable(environment, name, value, sentence):
    environment(**{name: value})
    with pytest.raises(ProxyError, match=rf"that {name} names .*{re.escape(sentence)}.*NO_PROXY=sky"):
        proxy_for("http://sky:3000")


@pytest.mark.parametrize(
    "value", ["http://ann:s3cret@proxy:port", "ann:s3cret@proxy:99999", "http://ann:s3c@ret@proxy:x"]
)
def test_a_password_is_not_shown(environment, value):
    environment(HTTP_PROXY=value)
    with pytest.raises(ProxyError, match=r"the proxy http://proxy:\w+ that") as caught:
        proxy_for("http://sky")
    assert "s3c" not in str(caught.value)
    assert "ann" not in str(caught.value)
