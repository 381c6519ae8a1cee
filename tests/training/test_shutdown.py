import os
import signal
import threading

import pytest

from skygen.training.shutdown import requests_to_end


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGTERM, SystemExit, 143), (signal.SIGINT, KeyboardInterrupt, None)]
)
def test_a_signal_is_noted_and_obeyed_when_it_is_asked_for(number, error, code):
    before, done = signal.getsignal(number), []
    with pytest.raises(error) as caught, requests_to_end() as request:
        assert request.signal is None
        os.kill(os.getpid(), number)
        done.append("the iteration")
        assert request.signal == number
        request.obey()

    assert done == ["the iteration"]
    assert getattr(caught.value, "code", None) == code
    assert signal.getsignal(number) is before


def test_handlers_of_others_are_back_afterwards():
    def of_others(number, frame):
        pass

    former = signal.signal(signal.SIGTERM, of_others)
    try:
        with requests_to_end():
            assert signal.getsignal(signal.SIGTERM) is not of_others
        assert signal.getsignal(signal.SIGTERM) is of_others
    finally:
        signal.signal(signal.SIGTERM, former)


def test_another_thread_leaves_the_handlers_alone():
    found = []

    def look():
        with requests_to_end() as request:
            found.append((request.signal, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert found == [(None, signal.getsignal(signal.SIGTERM))]
