import pytest
import torch

from skygen.gan.dropout import discard, dropout_rate, s_dropout_rate


@pytest.mark.parametrize(("x", "rate"), [(0, 0.5), (1, 0.375), (9, 0.475)])
def test_eq_3_as_printed(x, rate):
    assert s_dropout_rate(x) == pytest.approx(rate, abs=1e-12)


def test_eq_3_returns_to_its_rate():
    rates = [s_dropout_rate(x) for x in range(1, 2000)]

    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.5, abs=2e-4)
    assert max(rates) < 0.5


def test_rate_and_k_are_those_of_the_equation():
    assert s_dropout_rate(3, rate=0.8, k=0.4) == pytest.approx(0.7)
    assert s_dropout_rate(5, rate=0.3, k=0.0) == 0.3


def test_a_recipe_s_rule_gives_the_rate(recipes):
    none = recipes["gan"].model_copy(update={"dropout": "none"})
    for iteration, of_s_dropout in ((0, 0.5), (1, 0.375), (9, 0.475)):
        at = (iteration, 32 * iteration, 4000)
        assert dropout_rate(none, *at) == 0.0
        assert dropout_rate(recipes["gan"], *at) == 0.5
        assert dropout_rate(recipes["improved"], *at) == pytest.approx(of_s_dropout)


def test_the_unit_of_an_epoch_is_a_pass_over_the_training_tiles(recipes):
    by_epoch = recipes["improved"].model_copy(update={"dropout_unit": "epoch"})
    rates = [dropout_rate(by_epoch, 777, images_seen, 100) for images_seen in (0, 99, 100, 199, 900)]

    assert rates == pytest.approx([0.5, 0.5, 0.375, 0.375, 0.475])


def test_discarding_zeroes_that_share_and_keeps_the_mean():
    torch.manual_seed(0)
    found = discard(torch.ones(10, 100_003), 0.2)

    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert float((found == 0).float().mean()) == pytest.approx(0.2, abs=3 * 0.4 / 1000)
    assert abs(float(torch.corrcoef(found[:2])[0, 1])) < 0.02


def test_discarding_nothing_changes_nothing_and_gradients_pass_where_kept():
    features = torch.randn(7, 3, requires_grad=True)
    assert discard(features, 0.0) is features

    found = discard(features, 0.5)
    found.sum().backward()
    assert torch.equal(features.grad, torch.where(found == 0, 0.0, 2.0))


@pytest.mark.parametrize("rate", [0.0, 0.095, 0.375, 0.5, 0.999999])
def test_a_rate_in_a_buffer_discards_what_the_number_does(rate):
    features = torch.randn(7, 1003, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    by_number = discard(features, rate)
    torch.manual_seed(0)

    assert torch.equal(discard(features, torch.tensor(rate, dtype=torch.float64)), by_number)
