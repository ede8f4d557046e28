"""One run on several processes, as torchrun starts them: the first one decides and writes, the others follow.

Imports torch only where there are several processes. Objects travel over gloo, gradients over NCCL between GPUs.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from dcft.errors import Interrupted, UserError

T = TypeVar("T")

PATIENCE = 30  # seconds that a process waits for the first one to print the error, before it prints its own


def process() -> int:
    """The number of this process, from 0 (torchrun's RANK)."""
    return int(os.environ.get("RANK", 0))


def processes() -> int:
    """How many processes share this run (torchrun's WORLD_SIZE)."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_first() -> bool:
    """Whether this process is the one that decides, writes and prints."""
    return process() == 0


def join() -> None:
    """Connect with the other processes, unless there are none or they are connected already."""
    if processes() > 1:
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group()


def leave() -> None:
    """End this process with status 0 once all processes have called this. Does nothing for a single process.

    The interpreter's shutdown is skipped: gloo's threads may release their last tensors too late during it and abort
    the process, even if the group was destroyed before.
    """
    if processes() > 1:
        wait()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def from_first(function: Callable[[], T]) -> T:
    """The value of `function` on the first process. Its `UserError` is raised on all processes.

    The others wait and do not call it. The value must be picklable.
    """
    if processes() == 1:
        return function()
    import torch.distributed as dist

    outcome = [None, None]  # value, error
    if is_first():
        try:
            outcome[0] = function()
        except UserError as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def first_alone(function: Callable[[], T]) -> T:
    """Call `function` on the first process, then on the others: they find the caches filled."""
    result = []
    from_first(lambda: result.append(function()))
    return result[0] if result else function()


def gather(value: T) -> list[T]:
    """The values of all processes, ordered by process."""
    if processes() == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def any_process(value: bool) -> bool:
    """Whether the value is true on any process. Between processors, so that no GPU waits."""
    if processes() == 1:
        return value
    import torch
    import torch.distributed as dist

    shared = torch.tensor(int(value))
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return bool(shared)


def wait() -> None:
    """Wait until all processes have called this."""
    gather(None)


def stop(message: str) -> NoReturn:
    """End this process with status 1 and one line on stderr. Of several processes only one prints it.

    An error meets all processes, or the first one on behalf of all. The first prints it at once, and torchrun ends the
    others. Another process prints it only if the first has not ended after `PATIENCE` seconds.
    """
    if not is_first():
        time.sleep(PATIENCE)
        message = f"{message} (process {process()} of {processes()})"
    sys.exit(message)


def interrupt(message: str) -> NoReturn:
    """End this process with status 75 (EX_TEMPFAIL: try again), the first one with a line on stderr."""
    if is_first():
        print(message, file=sys.stderr, flush=True)
    if processes() > 1:
        os._exit(Interrupted.STATUS)  # as `leave` does
    sys.exit(Interrupted.STATUS)
