"""What must hold of nginx before anything is deployed, and the file that is written for it."""

import re
import shlex
from pathlib import Path

import pytest

from skygen.deploy.place import Serving
from skygen.deploy.proxy import Nginx, render
from tests.deploy.conftest import Site
from tests.harness.commands import called
from tests.programs import program
from tests.serving.proxied import UPSTREAM
from tools.rehearse.programs import free_port

BLUE = Serving(release="a" * 64, bento="b" * 64, colour="blue", port=3001, pid=1, started=0.0, since="now")
GREEN = BLUE.model_copy(update={"colour": "green", "port": 3002, "release": "c" * 64})


def test_the_file_says_what_the_shipped_one_says() -> None:
    def bare(text: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"#.*", "", text)).strip()

    assert bare(render([(BLUE, 100)])) == bare(UPSTREAM.read_text().replace("3000", "3001")).replace(
        "skygen {", f"{BLUE.name} {{", 1
    ).replace("* skygen;", f"* {BLUE.name};")


def test_a_canary_gets_its_share() -> None:
    said = render([(BLUE, 90), (GREEN, 10)])
    assert f"10.00% {GREEN.name};\n    * {BLUE.name};" in said
    assert said.count("server 127.0.0.1:") == 2


def test_nginx_is_found_with_the_file_that_it_includes(empty: Site) -> None:
    nginx = Nginx.find(empty.nginx, empty.url)
    assert nginx.upstream == empty.upstream.resolve()
    assert nginx.answering() == "skygen"
    assert not nginx.leads_to(BLUE)


def test_a_file_that_nginx_refuses_is_taken_back(empty: Site) -> None:
    nginx, before = Nginx.find(empty.nginx, empty.url), empty.upstream.read_text()
    with pytest.raises(ValueError, match=r"-t` failed, and nothing was changed: .*has no opening"):
        nginx.restore("upstream;\n")
    assert empty.upstream.read_text() == before
    assert nginx.answering() == "skygen"


@pytest.mark.parametrize(
    ("nginx", "url", "sentence"),
    [
        (
            "no-such-program -c here",
            None,
            "no-such-program -c here: No such file or directory, and ",
        ),
        ("nginx -c /no/such/file", None, "failed, and nothing was changed: .*No such file"),
        (None, "http://127.0.0.1:{free}", "no nginx answers at .*: start it by `nginx -p .*make serve needs none"),
    ],
)
def test_without_nginx_nothing_is_deployed(empty: Site, nginx: str | None, url: str | None, sentence: str) -> None:
    address = (url or empty.url).format(free=free_port())
    words = ["deploy", str(empty.releases / "one"), "--folder", str(empty.place.folder), "--url", address]
    ended = called([*words, "--nginx", nginx or empty.nginx])
    assert ended.returncode == 1
    assert re.search(sentence, ended.stderr.decode(), re.DOTALL)
    assert not empty.place.folder.exists()


def test_a_configuration_of_ones_own_is_told_from_ours(tmp_path: Path, empty: Site) -> None:
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ access_log off; }}")
    command = shlex.join([program("nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"])
    with pytest.raises(ValueError, match=r"includes no upstream\.conf that says \$skygen"):
        Nginx.find(command, empty.url)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--back", "--status"], "give a RELEASE, --again, --back or --status"),
        (["--back", "--canary", "10"], "is for a RELEASE"),
        (["bundles", "--ports", "3001"], "--ports are two"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], sentence: str) -> None:
    ended = called(["deploy", *words])
    assert ended.returncode == 2
    assert sentence in ended.stderr.decode()


def test_nothing_deployed_is_said(tmp_path: Path) -> None:
    assert called(["deploy", "--status", "--folder", str(tmp_path)]).stdout == b"nothing was deployed\n"
