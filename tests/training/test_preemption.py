"""Signals to a run: what each does before and in training, and who hears of it afterwards."""

import signal

import pytest

from dcft.errors import Interrupted
from dcft.training.preemption import Preemption


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of this process, which each test must leave as they were."""
    before = [signal.getsignal(number) for number in Interrupted.SIGNALS]
    yield
    assert [signal.getsignal(number) for number in Interrupted.SIGNALS] == before


@pytest.mark.parametrize("number", Interrupted.SIGNALS)
def test_before_training_it_ends_the_run_at_once(number):
    said = "^interrupted before the first step; the same command starts again$"
    with pytest.raises(Interrupted, match=said), Preemption().listening():
        signal.raise_signal(number)


def test_in_training_it_waits_and_a_second_ctrl_c_does_not():
    preemption = Preemption()
    preemption.training = True
    with preemption.listening():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert preemption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt) as ended:
            signal.raise_signal(signal.SIGINT)
    assert ended.type is KeyboardInterrupt


def test_who_listened_before_hears_of_it_afterwards(monkeypatch):
    """submitit's handler puts the job back into the queue."""
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))
    try:
        with pytest.raises(Interrupted), Preemption().listening():
            signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [signal.SIGUSR2]


def test_an_ignored_signal_stays_ignored():
    """`nohup` and shells without job control ignore Ctrl-C for what they start in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Preemption().listening():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
