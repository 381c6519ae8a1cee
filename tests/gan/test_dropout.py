import pytest

from skygen.gan.dropout import dropout_rate, s_dropout_rate


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
