"""What all typed models are made of: a frozen section, the kinds of numbers in it, and how a wrong one is said."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class ParamsError(ValueError):
    """params.yaml does not say what it must; the message names the key, the value and what is legal."""


class Section(BaseModel):
    """A part of params.yaml: frozen, strict about types, closed to unknown keys and to NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=BaseModel)


def validate(model: type[SectionT], raw: object, where: str) -> SectionT:
    """`raw` as a `model`; raises `ParamsError` with one line for each thing wrong, its key prefixed by `where`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(where, problem) for problem in error.errors()]
        raise ParamsError("\n".join(lines)) from None


def _explain(where: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key (value {problem['input']!r}); remove it or correct its name"
    if problem["type"] == "missing":
        return f"{where}: {key}: missing; it must be given"
    whole = not problem["loc"] and isinstance(problem["input"], dict)  # of the file, which says too much
    value = "" if whole else f" = {problem['input']!r}"
    return f"{where}: {key}{value}: {problem['msg']}"
