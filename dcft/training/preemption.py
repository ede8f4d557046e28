"""Signals that end a run in good order: Ctrl-C, SIGTERM and Slurm's SIGUSR1 and SIGUSR2."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import TrainerCallback

from dcft.errors import Interrupted
from dcft.training import distributed


class Preemption(TrainerCallback):
    """Ends a run at the first signal: before training at once, in training after the current step, with a checkpoint.

    After training the record is written, which takes moments. A second Ctrl-C ends the run at once.
    """

    def __init__(self):
        self.signal: signal.Signals | None = None
        self.training = self.stopping = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while a run lasts. Afterwards the listeners before get the signal: submitit's requeues the job."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread can
            yield
            return
        before = {number: signal.getsignal(number) for number in Interrupted.SIGNALS}
        heard = [number for number in Interrupted.SIGNALS if before[number] not in (None, signal.SIG_IGN)]
        for number in heard:
            signal.signal(number, self._notice)
        try:
            yield
        except Interrupted:
            self._restore(before, heard)
            if self.signal and before[self.signal] not in (signal.SIG_DFL, signal.default_int_handler):
                signal.raise_signal(self.signal)
            raise
        finally:
            self._restore(before, heard)

    def _restore(self, before: dict, heard: list[signal.Signals]) -> None:
        for number in heard:
            signal.signal(number, before[number])

    def _notice(self, number: int, frame) -> None:
        if number == self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)
        if not self.training:
            raise Interrupted("interrupted before the first step; the same command starts again")

    def on_train_begin(self, args, state, control, **kwargs):
        self.training = True

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step < state.max_steps and distributed.any_process(self.signal is not None):
            self.stopping = control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        if self.stopping:
            distributed.wait()  # the first process has published the checkpoint
            raise Interrupted(f"interrupted at step {state.global_step}; the same command goes on")
