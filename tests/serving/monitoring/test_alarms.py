"""An alert's way: from a metric through Prometheus and Alertmanager, with the project's files, to who is told."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from tests.harness.alarms import MONITORING, Told, alert_of, alertmanager, answer, prometheus
from tests.programs import program

NO_NUMBERS = 'skygen_sample_bad_pixels_total{{tiles="r64",recipe="scene",kind="nonfinite"}} {}\n'


@pytest.fixture
def told() -> Iterator[Told]:
    with Told().running() as server:
        yield server


def test_amtool_finds_no_fault() -> None:
    command = [program("amtool"), "check-config", "alertmanager.yml"]
    run = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_receiver_has_its_address_in_a_file_that_git_ignores() -> None:
    text = (MONITORING / "alertmanager.yml").read_text()
    found = YAML(typ="safe").load(text)
    files = [its["api_url_file"] for one in found["receivers"] for its in one["slack_configs"]]
    assert files == ["../../secrets/page.url", "../../secrets/ticket.url"]
    for path in files:
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=MONITORING, check=False).returncode == 0
    assert not re.search(r"https?://", text)


def test_every_alert_goes_to_who_its_severity_says() -> None:
    """amtool finds the receiver by the same code as Alertmanager."""
    groups = YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"]
    for severity in {rule["labels"]["severity"] for group in groups for rule in group["rules"]}:
        command = [program("amtool"), "config", "routes", "test", "--config.file=alertmanager.yml"]
        run = subprocess.run(
            [*command, f"severity={severity}"], cwd=MONITORING, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == severity


def test_bad_pixels_wake_somebody_and_a_device_that_fails_hides_them(told: Told, tmp_path: Path) -> None:
    told.text = "skygen_ready 1\n" + NO_NUMBERS.format(0)
    receivers = {name: told.url(name) for name in ("page", "ticket")}
    with alertmanager(tmp_path / "told", **receivers) as tells:
        address = urlsplit(str(tells.base_url)).netloc
        with prometheus(tmp_path, service=told.address, alertmanager=address) as watches:
            assert answer(watches, "skygen_sample_bad_pixels_total") == 0
            told.text = "skygen_ready 1\n" + NO_NUMBERS.format(64)
            [message] = told.next("page")["attachments"]
            assert message["title"] == "page: 1 firing, 0 resolved"
            bad = "r64/scene draws pixels that are no numbers; go back to the version before"
            assert message["text"].strip() == f"firing SkygenPixelsNoNumbers: {bad}"
            told.text = "skygen_ready 0\n" + NO_NUMBERS.format(128)
            [message] = told.next("page")["attachments"]
            assert message["text"].startswith("firing SkygenDeviceFails: the device of ")
            assert alert_of(tells, "SkygenPixelsNoNumbers", "suppressed")["status"]["inhibitedBy"]
            assert told.messages["/ticket"].empty()
