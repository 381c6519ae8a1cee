import io
import logging
import os
import resource
import signal

import pytest
import torch

from skygen.training import loop
from skygen.training.checkpoints import read_newest
from tests.training.tiny import RECIPES, KilledError, Killer, Recorder, content, same, scale


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_was_interrupted_goes_on_bit_for_bit(run, recipes, name):
    straight, whole_log = run(recipes[name], checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes[name], log=Killer(at=2))
    torch.manual_seed(99)  # another process stands elsewhere in its randomness
    resumed, log = run(recipes[name])

    assert [seen for seen, _ in log.measured] == [seen for seen, _ in whole_log.measured][1:]  # the rest alone
    assert same(content(resumed), content(straight))


def test_what_is_resumed_is_the_state_before_the_newest_where_that_is_damaged(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["scene"], scale(6, 3), checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes["scene"], scale(6, 3), log=Killer(at=3))
    newest = tmp_path / "state.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    resumed, log = run(recipes["scene"], scale(6, 3))

    assert f"{newest} is damaged" in caplog.text
    assert [seen for seen, _ in log.measured] == [16, 24]  # the second again
    assert same(content(resumed), content(straight))


def test_a_training_whose_states_are_all_damaged_begins_anew(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["gan"])
    for kept in tmp_path.glob("state*.pt"):
        kept.write_bytes(b"damaged")
    again, log = run(recipes["gan"])

    assert len(caplog.messages) == 2
    assert len(log.measured) == 2
    assert same(content(again), content(straight))


def test_a_changed_configuration_never_resumes_an_old_state(run, recipes):
    run(recipes["gan"])
    slower = recipes["gan"].model_copy(update={"generator_lr": 1e-5})

    with pytest.raises(ValueError, match=r"state of another training: recipe\.generator_lr 0\.00025 \(now 1e-05\)"):
        run(slower)


def test_a_finished_training_is_not_trained_again(run, recipes):
    finished, _ = run(recipes["gan"])
    again, log = run(recipes["gan"])

    assert same(content(finished), content(again))
    assert log.measured == []


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_ends_the_training_after_the_iteration_with_its_state_kept(run, recipes, made, number, error):
    class Signal(Recorder):
        def samples(self, flux_nmgy, images_seen):
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    straight, _ = run(recipes["scene"], scale(6, 2), checkpoint="straight.pt")
    with pytest.raises(error):
        run(recipes["scene"], scale(6, 2), log=Signal())
    assert made[1].iteration == 4  # one after the measurement that brought the signal
    assert signal.getsignal(number) is before
    resumed, log = run(recipes["scene"], scale(6, 2))

    assert made[2].iteration == 6
    assert [seen for seen, _ in log.measured] == [24]
    assert same(content(resumed), content(straight))


@pytest.mark.parametrize(("every_s", "kept"), [(0.0, 2), (1000.0, None)])
def test_the_state_is_saved_between_measurements_where_it_is_time(run, recipes, monkeypatch, tmp_path, every_s, kept):
    monkeypatch.setattr(loop, "SAVE_EVERY_S", every_s)
    with pytest.raises(KilledError):
        run(recipes["gan"], scale(3, 1), log=Killer(at=1))
    content = read_newest(tmp_path / "state.pt")

    assert (torch.load(io.BytesIO(content), weights_only=True)["iteration"] if content else None) == kept


def test_a_full_disk_costs_no_earlier_state_and_not_the_training(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["gan"], checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes["gan"], log=Killer(at=2))
    kept, former = read_newest(tmp_path / "state.pt"), resource.getrlimit(resource.RLIMIT_FSIZE)
    caplog.set_level(logging.WARNING)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, former[1]))  # the kernel refuses larger files, as a full disk does
    try:
        resumed, _ = run(recipes["gan"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)

    assert "iteration 4 is not saved, the training goes on" in caplog.text
    assert str(tmp_path / "state.pt") in caplog.text
    assert read_newest(tmp_path / "state.pt") == kept
    assert same(content(resumed), content(straight))
