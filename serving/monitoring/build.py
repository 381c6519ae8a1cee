"""What a service is made of, since when it runs, and the limits that its alerts compare with."""

import os
import platform
from importlib import metadata
from pathlib import Path

from serving import command, openapi
from serving.monitoring import metrics
from serving.settings import Settings
from skygen.provenance import git_commit


def announce(settings: Settings) -> None:
    """Count this worker's part of them; the service's start is that of its command."""
    packages = (metadata.version(name) for name in ("torch", "bentoml"))
    metrics.BUILD_INFO.labels(openapi.VERSION, commit(), platform.python_version(), *packages).set(1)
    metrics.START_TIME.set(command.began())
    metrics.QUEUE_LIMIT.set(settings.queue_tiles)
    metrics.TIMEOUT.set(settings.timeout_seconds)


def commit() -> str:
    """The commit of the checkout that is served; of a Bento what SKYGEN_COMMIT says, since it may lie in any clone."""
    is_checkout = (Path(__file__).parents[2] / ".git").exists()
    return git_commit() if is_checkout else os.environ.get("SKYGEN_COMMIT") or "unknown"
