import pytest
import torch

from skygen.training.precision import chosen_precision, repeatable_kernels
from tests.training.tiny import content, same, scale


def switches():
    return torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(("precision", "tf32"), [("exact", False), ("tf32", True)])
def test_kernels_repeat_their_bits_with_the_digits_that_are_asked_for(precision, tf32):
    before = switches()
    with repeatable_kernels(precision):
        assert switches() == (True, tf32, tf32)
    assert switches() == before


def test_products_are_exact_unless_asked_otherwise(monkeypatch):
    monkeypatch.delenv("SKYGEN_PRECISION", raising=False)
    assert chosen_precision() == "exact"
    monkeypatch.setenv("SKYGEN_PRECISION", "tf32")
    assert chosen_precision() == "tf32"


def test_another_precision_is_refused_before_anything_is_trained(run, recipes, monkeypatch):
    monkeypatch.setenv("SKYGEN_PRECISION", "half")
    with pytest.raises(ValueError, match="SKYGEN_PRECISION is 'half'; it must be one of exact, tf32"):
        run(recipes["gan"])


def test_a_cpu_computes_the_same_with_either(run, recipes, monkeypatch):
    exact, _ = run(recipes["gan"], scale(2, 1))
    monkeypatch.setenv("SKYGEN_PRECISION", "tf32")
    other, _ = run(recipes["gan"], scale(2, 1), checkpoint="other.pt")

    assert same(content(exact), content(other))
