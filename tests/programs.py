"""Programs that are no Python packages: tests that need one are left out where it is missing, and fail so in CI."""

import os
import shutil
from pathlib import Path

import pytest

# What `.ci/run` installs, by the program that tests start.
PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "fitsverify": "fitsverify",
    "initdb": "postgresql",
    "nginx": "nginx-light",
    "pg_ctl": "postgresql",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "runuser": "util-linux",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}
SERVERS = ("/usr/local/sbin", "/usr/sbin")  # nginx and sshd are such
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # where Debian keeps a server of each version


def program(name: str) -> str:
    """The path of a program. Where it is missing the test that asks is skipped; with CI=true, as in CI, it fails."""
    path = shutil.which(name, path=":".join([os.environ.get("PATH", ""), *SERVERS, *map(str, POSTGRES)]))
    if path is not None:
        return path
    reason = f"{name} is not installed: it comes with Debian's package {PACKAGES[name]}"
    if os.environ.get("CI", "false").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason}; in CI no test is left out for want of it", pytrace=False)
    pytest.skip(reason)
