"""`skygen deploy` with real services and a real nginx: no call fails, and what fails changes nothing."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from skygen.deploy import services
from skygen.files import read_json
from tests.deploy.conftest import ADDRESSES, Answers, Site
from tests.harness.waiting import until


@contextmanager
def none_fails(site: Site) -> Iterator[Answers]:
    """What is heard while the block runs: no call may fail."""
    with site.asked() as answers:
        yield answers
    assert set(answers.outcomes) == {"200"}, answers.outcomes
    assert answers.outcomes["200"] > 50


def test_a_release_takes_the_place_of_another_and_goes_back_without_a_failed_call(site: Site) -> None:
    first = site.state()
    assert first.serving
    with none_fails(site) as answers:
        deployed = site.deploy("two", "--canary", "50", "--watch", "10")
        assert deployed.returncode == 0, deployed.stderr
        second = site.state()
        assert second.serving
        assert second.serving.release != first.serving.release
        assert [release.release for release in second.before] == [first.serving.release]
        back = site.deploy("--back")
        assert back.returncode == 0, back.stderr
    third = site.state()
    assert third.serving
    assert (third.serving.release, third.before) == (first.serving.release, first.before)
    names = [first.serving.name, second.serving.name, third.serving.name]
    assert {tuple(answers.turns(address)) for address in ADDRESSES} == {tuple(names)}  # none to and fro
    firsts = sorted(answers.heard.index((address, names[1])) for address in ADDRESSES)
    assert firsts[-1] - firsts[0] > 20  # a canary: some heard it long before the others
    assert list(services.leaders(site.place)) == [third.serving.port]
    (target,) = read_json(site.place.folder / "targets.json")
    assert target["targets"] == [f"127.0.0.1:{third.serving.port}"]
    assert not psutil.pid_exists(first.serving.pid)
    assert third.serving.name in site.deploy("--status").stdout
    assert site.deploy("one").stdout == f"{third.serving.name} serves this release already\n"


def test_a_canary_that_draws_worse_is_taken_back(site: Site) -> None:
    before = site.seen()
    with none_fails(site):
        deployed = site.deploy("noisy", "--canary", "50", "--watch", "120")
    assert deployed.returncode == 1
    assert re.search(r"was taken back: .*the sky noise of r64/gan in r is \S+ times the real tiles'", deployed.stderr)
    assert site.seen() == before


@pytest.mark.parametrize("moment", ["starting", "switched"])
def test_what_a_killed_deployment_left_is_mended_by_the_next(site: Site, moment: str) -> None:
    state, upstream, serving = site.seen()
    with none_fails(site):
        killed = site.start("three")
        until(lambda: len(services.leaders(site.place)) == 2)
        if moment == "switched":
            until(lambda: site.upstream.read_text() != upstream)
        killed.send_signal(signal.SIGSTOP)  # it must not end while the second one is refused
        second = site.deploy("two")
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        mended = site.deploy("one")
    assert (second.returncode, f"another run, process {killed.pid}," in second.stderr) == (1, True)
    assert mended.returncode == 0, mended.stderr
    assert site.seen() == (state, upstream, serving)


def test_what_served_last_is_started_again(site: Site) -> None:
    first = site.state()
    assert first.serving
    with none_fails(site):
        again = site.deploy("--again")
    assert again.returncode == 0, again.stderr
    second = site.state()
    assert second.serving
    assert (second.serving.bare(), second.before) == (first.serving.bare(), first.before)
    assert second.serving.pid != first.serving.pid
    psutil.Process(second.serving.pid).terminate()
    until(lambda: not services.lives(site.place, second.serving))
    after_a_reboot = site.deploy("--again")
    assert after_a_reboot.returncode == 0, after_a_reboot.stderr
    third = site.state()
    assert third.serving
    assert third.serving.bare() == first.serving.bare()


def test_a_service_that_does_not_start_changes_nothing(site: Site) -> None:
    before = site.seen()
    with none_fails(site):
        deployed = site.deploy("two", SKYGEN_ENGINE="steam")
    assert deployed.returncode == 1
    assert re.search(r"the new service ended with status 1 .*\n(.*\n)*SKYGEN_ENGINE: ", deployed.stderr)
    assert site.seen() == before


def test_a_service_that_is_not_ready_in_time_changes_nothing(site: Site) -> None:
    before = site.seen()
    deployed = site.deploy("two", "--ready", "1")
    assert deployed.returncode == 1
    assert "the new service was not ready within 1 s" in deployed.stderr
    assert site.seen() == before


def test_a_damaged_release_changes_nothing(site: Site, tmp_path: Path) -> None:
    before = site.seen()
    damaged = shutil.copytree(site.releases / "two", tmp_path / "damaged")
    (weights,) = (damaged / "r64/gan").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    deployed = site.deploy(str(damaged))
    assert deployed.returncode == 1
    assert "r64/gan: damaged: its sha256 is" in deployed.stderr
    shutil.rmtree(damaged / "r64/gan")
    assert "r64/gan: missing from the release" in site.deploy(str(damaged)).stderr
    (damaged / "catalogue.json").unlink()
    assert "is no release" in site.deploy(str(damaged)).stderr
    assert site.seen() == before
