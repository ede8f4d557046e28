"""Processes that run cells, one after the other, each with its share of the machine. Nothing here imports torch."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from dcft.errors import Interrupted


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without it, all that nvidia-smi lists."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.replace(" ", "").split(",") if name]
    return listed("index")


def listed(what: str) -> list[str]:
    """A property of each GPU of this machine, from nvidia-smi; empty without nvidia-smi."""
    try:
        command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
        said = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return []
    return said.stdout.split() if said.returncode == 0 else []


def environment(number: int, at_once: int, devices: Sequence[str]) -> dict[str, str]:
    """Environment variables of one of several workers: cores // at_once threads, and one GPU.

    Without the limit every worker would start a thread a core. Waiting threads spin, and on shared cores that costs
    several times the work itself. An OMP_NUM_THREADS that is set already stays.

    Args:
        number: of this worker, from 0; GPUs are given in turn.
        at_once: how many workers there are.
        devices: see `gpus`.
    """
    import joblib  # knows affinities and the limits of containers; imported here, since planning does without

    cores = joblib.cpu_count(only_physical_cores=True)
    mine = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(cores // at_once, 1))}
    return mine | ({"CUDA_VISIBLE_DEVICES": devices[number % len(devices)]} if devices else {})


class Worker:
    """A process that runs cells until its connection closes, by `close` or because this process is gone.

    Args:
        environment: see the function `environment`.
        alone: whether no other worker prints; if others do, lines begin with the cell's label, and no bar is drawn.
    """

    def __init__(self, environment: dict[str, str], alone: bool):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()  # readable once the cell has ended, in whichever way
        self._given = environment, alone
        self._process = context.Process(target=_work, args=(theirs, *self._given))
        self._process.start()
        theirs.close()

    def begin(self, label: str, overrides: list[str]) -> None:
        """Start a cell: what `python run.py OVERRIDES` does."""
        with suppress(ConnectionError):  # `end` says why
            self.connection.send((label, overrides))

    def end(self) -> str | None:
        """Wait for the cell's end; returns what went wrong, in one line, or None."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            return f"its process was ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Let the process end, after the cell that it is at."""
        self.connection.close()
        self._process.join()

    def replace(self) -> "Worker":
        """Close this one and start another with the same share."""
        self.close()
        return Worker(*self._given)


def _work(connection, environment: dict[str, str], alone: bool) -> None:
    os.environ.pop("HYDRA_FULL_ERROR", None)  # run.py has set it for itself
    os.environ.update(environment)  # before torch is loaded, which reads it once
    if not alone:
        sys.stdout, sys.stderr = Labelled(sys.stdout), Labelled(sys.stderr)
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):  # the sweep has ended
        while True:
            label, sys.argv[1:] = connection.recv()
            if alone:
                print(f"\n{label}", flush=True)
            else:
                sys.stdout.label = sys.stderr.label = label
            error = None
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as end:
                error = str(end.code) if end.code else None
            if error == str(Interrupted.STATUS):
                error = "a signal interrupted it"
            elif error:
                print(error, file=sys.stderr, flush=True)
                error = error.removeprefix("error: ")
            connection.send(error)


class Labelled:
    """A stream that several processes share: whole lines, each after a label. No terminal, so that no bar is drawn."""

    def __init__(self, stream: TextIO):
        self.label = ""
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        self._stream.write("".join(f"{self.label} {line}\n" for line in lines))
        self._stream.flush()
        return len(text)

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str):
        return getattr(self._stream, name)
