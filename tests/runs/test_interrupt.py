import signal
import threading

import pytest

from gnnkit.runs import Interrupted, catch_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_seen_at_the_step_boundary(number):
    before = signal.getsignal(number)
    steps = 0
    with pytest.raises(Interrupted, match="after step 3"), catch_interrupt() as stop:  # noqa: PT012
        for step in range(10):
            if stop.requested:
                raise Interrupted(f"after step {steps}")
            if step == 2:
                signal.raise_signal(number)
            steps += 1
    assert steps == 3
    assert signal.getsignal(number) is before


def test_the_second_signal_raises_at_once():
    with pytest.raises(KeyboardInterrupt), catch_interrupt():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on after the second signal")


def test_a_request_nobody_looked_at_is_not_lost():
    with pytest.raises(KeyboardInterrupt), catch_interrupt() as stop:  # noqa: PT012
        assert not stop.requested
        signal.raise_signal(signal.SIGINT)
    with catch_interrupt() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested  # seen, so handled


def test_an_error_in_the_block_is_the_error_that_comes_out():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), catch_interrupt():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        1 / 0
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it_and_sees_no_request():
    seen = []

    def job():
        with catch_interrupt() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert seen == [False]


def test_interrupted_passes_except_exception():
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, Exception)
