"""Programs that are no Python packages: tests that need one are left out where it is missing, and fail so in CI."""

import os
import shutil

import pytest

# What `.ci/run` installs, by the program that tests start.
PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "fitsverify": "fitsverify",
    "initdb": "postgresql",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}


def program(name: str) -> str:
    """The path of a program. Where it is missing the test that asks is skipped; with CI=true, as in CI, it fails."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")  # nginx is a server
    if path is not None:
        return path
    reason = f"{name} is not installed: it comes with Debian's package {PACKAGES[name]}"
    if os.environ.get("CI", "false").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason}; in CI no test is left out for want of it", pytrace=False)
    pytest.skip(reason)
