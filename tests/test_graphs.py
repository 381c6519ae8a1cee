import pytest
import torch

from skygen.graphs import graphs_wanted
from tests.harness.captures import Captures


@pytest.mark.parametrize(("word", "wanted"), [("", True), ("on", True), ("off", False)])
def test_graphs_can_be_switched_off(monkeypatch, word, wanted):
    monkeypatch.setenv("SKYGEN_GRAPHS", word)
    assert graphs_wanted() is wanted


def test_another_word_for_graphs_is_refused(monkeypatch):
    monkeypatch.setenv("SKYGEN_GRAPHS", "never")
    with pytest.raises(ValueError, match="SKYGEN_GRAPHS is 'never'; it must be on or off"):
        graphs_wanted()


def test_what_cannot_be_captured_is_found():
    with Captures(), pytest.raises(RuntimeError, match="_local_scalar_dense"):
        float(torch.ones(()))
    with Captures(), pytest.raises(RuntimeError, match="index"):
        torch.ones(3)[torch.tensor([True, False, True])]
