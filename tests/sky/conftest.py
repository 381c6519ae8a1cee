"""A small frame on disk; a server that stands in for the survey's, frames downloaded from it; the shipped selection."""

import bz2

import pytest

from skygen.sky.archive.download import download_frames
from tests.sky.archive.survey_server import CONTENT, FIELD, URL, survey_server
from tests.sky.frame_files import FLUX, NAME, SHAPE


@pytest.fixture(scope="session")
def selection(params):
    """The shipped selection, with nothing reserved."""
    return params.frames.sdss.selection.model_copy(update={"reserved": []})


@pytest.fixture
def server(monkeypatch):
    """A running server with the frame `CONTENT` at `URL`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with survey_server() as running:
        running.files[URL] = CONTENT
        yield running


@pytest.fixture
def fetch(server, params, tmp_path):
    """A function: `download_frames` from the server to `tmp_path`/downloads, with `changes` of the parameters."""

    def run(fields=(FIELD,), bands=("r",), **changes):
        survey = server.params(params.frames.sdss, **changes)
        return download_frames(survey, fields, bands, tmp_path / "downloads", pause_s=0.001)

    return run


@pytest.fixture
def written(tmp_path, frame_bytes, monkeypatch):
    """A function: the path of a frame's file with `flux`, and what of its header `changes`; frames are small then."""
    monkeypatch.setattr("skygen.sky.frame.SHAPE", SHAPE)

    def write(name=NAME, flux=FLUX, **changes):
        content = frame_bytes(name, flux, **changes)
        path = tmp_path / name
        path.write_bytes(bz2.compress(content, 1) if path.suffix == ".bz2" else content)
        return path

    return write
