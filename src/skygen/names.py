"""Names that a command is given, checked against those that there are."""

from collections.abc import Sequence


def known(what: str, named: Sequence[str], there_are: Sequence[str]) -> list[str]:
    """The names `named`, each once, or all that there are; raises `ValueError`, which lists them, for another."""
    unknown = [name for name in named if name not in there_are]
    if unknown:
        raise ValueError(f"no {what} is called {', '.join(unknown)}; there are: {', '.join(there_are)}")
    return list(dict.fromkeys(named)) or list(there_are)
