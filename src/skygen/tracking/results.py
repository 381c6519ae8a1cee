"""What comes after a training: the evaluation of its bundle, and the registry of champions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from skygen.tracking.delivery import EVALUATION, Courier, deliver
from skygen.tracking.journal import SUFFIX, Journal
from skygen.tracking.run import say_what_waits
from skygen.tracking.store import BUNDLE_TAG, RESTORED_TAG, Store, chosen_store

JOURNALS = Path(".checkpoints")
ALIAS = "champion"


def log_evaluation(
    tiles: str, recipe: str, seed: int, sha256: str, metrics: Mapping[str, float], artifacts: Sequence[Path]
) -> None:
    """Add an evaluation's metrics and files to the run that made the bundle `sha256`, or to a new run without one.

    As a training does: through a journal, so that a store that does not answer is none of the evaluation's business.
    """
    journal = Journal(JOURNALS / f"{EVALUATION}{sha256[:16]}{SUFFIX}")
    journal.append("evaluation", sha256=sha256, name=f"{tiles}-{recipe}-{seed}")
    journal.append("metrics", values={key.replace(".", "/"): float(value) for key, value in metrics.items()}, step=0)
    for artifact in artifacts:
        journal.append_file(artifact.read_bytes(), artifact.name)
    journal.append("done")
    journal.close()
    Courier(JOURNALS).finish()
    say_what_waits(journal.folder)


def register_champion(tiles: str, recipe: str, seed: int, folder: Path, sha256: str) -> str:
    """Register the bundle in `folder`, whose hash is `sha256`, as `skygen-TILES@champion`; its version.

    A bundle that is registered already keeps its version, and the alias moves to it. Raises `ConnectionError` or
    `MlflowException` where the store does not answer.
    """
    deliver(JOURNALS)
    store, name = Store(chosen_store()), f"skygen-{tiles}"
    run = store.run_of(sha256, f"{tiles}-{recipe}-{seed}")
    known = store.client.search_model_versions(f"name = '{name}'")
    version = next((entry.version for entry in known if entry.tags.get(BUNDLE_TAG) == sha256), None)
    if version is None:
        if RESTORED_TAG in run.data.tags:
            store.log_model(run.info.run_id, folder, sha256)
        tags = {BUNDLE_TAG: sha256, "recipe": recipe, "seed": str(seed)}
        version = store.register(run.info.run_id, name, tags)
    store.client.set_registered_model_alias(name, ALIAS, version)
    return str(version)
