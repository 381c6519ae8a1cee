"""What an operator may choose: the environment variables SKYGEN_…, typed and checked when the service starts."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serving.requests import MAX_TILES
from skygen.bundle.engines import EngineName

Words = Annotated[tuple[str, ...], NoDecode]  # as a variable says it: words with commas between them


class Settings(BaseSettings):
    """The service's settings; the variable of `queue_tiles` is SKYGEN_QUEUE_TILES. See also SKYGEN_DEVICE.

    A variable that is empty is as one that is not set. A relative path is below the folder in which the command was
    typed. BentoML loads the service in another, and runs workers there: `export` makes it absolute for them.
    """

    model_config = SettingsConfigDict(
        env_prefix="SKYGEN_", env_ignore_empty=True, frozen=True, extra="ignore", allow_inf_nan=False
    )

    bundles: Path | None = Field(default=None, description="folder of bundles to serve, in place of the Bento's own")
    engine: EngineName = Field(default="auto", description="what computes networks that paint tiles")
    workers: int = Field(default=1, ge=1, le=64, description="processes, each with bundles and a queue of its own")
    threads: int = Field(
        default=0, ge=0, le=1024, description="threads that draw tiles in each process; 0 is one a core"
    )
    queue_tiles: int = Field(
        default=1024, ge=MAX_TILES, description="most tiles that wait to be drawn; more are answered 429"
    )
    timeout_seconds: float = Field(default=60, gt=0, le=3600, description="seconds an answer may take; after that 504")
    head_seconds: float = Field(
        default=10, gt=0, le=3600, description="seconds a request's headers may take; after that 408"
    )
    body_seconds: float = Field(
        default=10, gt=0, le=3600, description="seconds a request's body may take; after that 408"
    )
    api_keys: Words = Field(default=(), description="keys, separated by commas; a client must send one of them")
    api_keys_file: Path | None = Field(default=None, description="file of more keys, one a line")
    cors_origins: Words = Field(default=(), description="origins whose pages may call the service, separated by commas")
    page: Literal["on", "off"] = Field(default="on", description="whether there is a page at /")
    metrics: Literal["on", "off", "keys", "open"] = Field(
        default="on",
        description="/metrics: on asks for a key where keys exist, keys does not start without any, open never asks",
    )
    access_log: Literal["on", "off"] = Field(default="on", description="whether each request leaves a line of JSON")

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("bundles", "api_keys_file")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @classmethod
    def of_environment(cls) -> Self:
        """The settings that the environment gives; ends the process where one is wrong, and names its variable."""
        _refuse_misspelt([f"SKYGEN_{name.upper()}" for name in cls.model_fields])
        try:
            return cls()
        except ValidationError as error:
            problems = (f"SKYGEN_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
            raise SystemExit("\n".join(problems)) from None

    def export(self) -> None:
        """Put the paths into the environment as they are meant in this folder, for processes that run in another."""
        for name, path in (("SKYGEN_BUNDLES", self.bundles), ("SKYGEN_API_KEYS_FILE", self.api_keys_file)):
            if path is not None:
                os.environ[name] = str(path.absolute())


def _refuse_misspelt(names: list[str]) -> None:
    """End the process where a variable is all but one of ours: SKYGEN_API_KEY would leave the service open."""
    known = [*names, "SKYGEN_DEVICE"]
    for variable in sorted(os.environ):
        if variable.upper() in known or not variable.upper().startswith("SKYGEN_"):
            continue
        if meant := get_close_matches(variable.upper(), known, n=1, cutoff=0.85):
            raise SystemExit(f"{variable}: there is no such setting; {meant[0]} is meant, or take it out")
