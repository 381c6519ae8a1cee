"""The audit of a tile set's champions: who promoted, refused or rolled back which version, when and why.

An entry is a tag of the registered model, such as `audit.000012-3fa9c1`: its number gives the order, its last digits
are drawn, so that two clones that write to one server at once never overwrite each other. An entry that moves the alias
is written before that, as begun, and again after it: where a run ends between, the alias says what became of it.
"""

import getpass
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Final, Literal

PROMOTED: Final = "promoted"
NOT_PROMOTED: Final = "not promoted"  # by the verdict
REFUSED: Final = "refused"  # by a person: the stage never promotes the bundle
ROLLED_BACK: Final = "rolled back"  # which refuses it, too
PREFIX = "audit."
MOST_WHY, MOST_VERDICT = 1000, 2000  # characters
MOST_VALUE = 5000  # of a tag of a registered model, in MLflow's tables on PostgreSQL
_TAG = re.compile(rf"{re.escape(PREFIX)}\d+-[0-9a-f]+")
_OPTIONAL = ("to", "verdict", "anyway", "state")

Action = Literal["promoted", "not promoted", "refused", "rolled back"]
State = Literal["done", "begun", "broken off"]


@dataclass(frozen=True)
class Entry:
    """What was done with a version: promoted `over` another, not promoted by its `verdict`, refused, or rolled back."""

    when: str  # ISO 8601, UTC
    who: str
    action: Action
    version: str
    over: str | None  # the version that stood
    sha256: str  # of the version's bundle
    why: str
    to: str | None = None  # of one that was rolled back: the version that stands in its place
    verdict: str = ""  # of the champion rule, where the versions were compared
    anyway: bool = False  # whether it was promoted in spite of the verdict, or without one
    state: State = "done"

    @property
    def stands(self) -> str | None:
        """The version that has the alias once this is done; None where it moves no alias."""
        return self.version if self.action == PROMOTED else self.to

    def text(self) -> str:
        """The entry as the value of a tag; raises `ValueError` where it is too long for one."""
        plain = asdict(self)
        kept = {key: value for key, value in plain.items() if key not in _OPTIONAL or value not in (None, "", False)}
        if self.state == "done":
            del kept["state"]
        text = json.dumps(kept, ensure_ascii=False)
        if len(text) > MOST_VALUE:
            raise ValueError(f"the entry of the audit has {len(text)} characters, a tag holds {MOST_VALUE}; say less")
        return text

    def __str__(self) -> str:
        said = f"{self.when[:16].replace('T', ' ')} UTC  {self.who}  version {self.version} {self.action}"
        said += " anyway" if self.anyway else ""
        said += f" over version {self.over}" if self.over and self.action == PROMOTED else ""
        said += f" to version {self.to}" if self.to else ""
        said += f" ({self.state})" if self.state != "done" else ""
        return f"{said}: {self.why}" + (f" [{self.verdict}]" if self.verdict else "")


@dataclass(frozen=True)
class Audit:
    """All entries of a tile set in their order, by the tags that hold them; begun ones as `standing` decides them."""

    entries: Mapping[str, Entry]

    @classmethod
    def of_tags(cls, tags: Mapping[str, str], standing: str | None) -> "Audit":
        """The audit in the `tags` of a registered model whose alias `standing` has."""
        named = {name: _read(name, text) for name, text in tags.items() if _TAG.fullmatch(name)}
        order = sorted(named, key=lambda name: (_number(name), named[name].when, name))
        return cls({name: _decided(named[name], standing) for name in order})

    @property
    def next_tag(self) -> str:
        """The name of the tag of another entry."""
        number = max(map(_number, self.entries), default=0) + 1
        return f"{PREFIX}{number:06d}-{secrets.token_hex(3)}"

    def latest(self, version: str) -> Entry | None:
        """What was done last with a version."""
        of_it = [entry for entry in self._done() if entry.version == version]
        return of_it[-1] if of_it else None

    def bar(self, sha256: str) -> Entry | None:
        """Why only people may promote the bundle `sha256`: it was refused or rolled back, and not promoted since."""
        found = None
        for entry in self._done():
            if entry.sha256 == sha256 and entry.action != NOT_PROMOTED:
                found = None if entry.action == PROMOTED else entry
        return found

    def before(self, standing: str) -> list[str]:
        """The versions that stood before `standing`, the latest first: each rollback undoes a promotion."""
        stack: list[str] = []
        for entry in self._done():
            if entry.action == PROMOTED:
                stack += [entry.over] if entry.over and stack[-1:] != [entry.over] else []
                stack.append(entry.version)
            elif entry.to is not None:
                stack = [*stack[: _last(stack, entry.to)], entry.to]
        return stack[: _last(stack, standing)][::-1]

    def _done(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state == "done"]


def who() -> str:
    """Who acts: SKYGEN_WHO, else the user of the MLflow server, else that of the system."""
    for variable in ("SKYGEN_WHO", "MLFLOW_TRACKING_USERNAME"):
        if name := " ".join(os.environ.get(variable, "").split()):
            return name[:100]
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"user {os.getuid()}"


def now() -> str:
    """The time, as an entry has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def checked_why(why: str) -> str:
    """The reason on one line; raises `ValueError` where there is none, or it is too long for a tag."""
    if not (line := " ".join(why.split())):
        raise ValueError("--why is empty; say in a few words why, for those who read the audit")
    if len(line) > MOST_WHY:
        raise ValueError(f"--why has {len(line)} characters, the audit takes {MOST_WHY}; say it in fewer words")
    return line


def one_line(verdict: str) -> str:
    """The words of a verdict on one line, cut where they are too long for a tag."""
    line = " ".join(verdict.split())
    return line if len(line) <= MOST_VERDICT else f"{line[: MOST_VERDICT - 1]}…"


def _read(name: str, text: str) -> Entry:
    known = {field.name for field in fields(Entry)}
    try:
        return Entry(**{key: value for key, value in json.loads(text).items() if key in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"the tag {name} is no entry of the audit ({error}); mend or delete it in MLflow") from error


def _decided(entry: Entry, standing: str | None) -> Entry:
    if entry.state != "begun":
        return entry
    return replace(entry, state="done" if entry.stands == standing else "broken off")


def _number(name: str) -> int:
    return int(name.removeprefix(PREFIX).partition("-")[0])


def _last(stack: list[str], version: str) -> int:
    """The last place of a version; the end where it is not among them."""
    return max((place for place, found in enumerate(stack) if found == version), default=len(stack))
