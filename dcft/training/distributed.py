"""One run on several processes, as torchrun starts them: the first one decides and writes, the others follow.

Imports torch only where there are several processes. Objects travel over gloo, gradients over NCCL between GPUs.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from dcft.errors import UserError

T = TypeVar("T")

PATIENCE = 30  # seconds that the first process has to say what went wrong before another one says it


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
    """Connect with the other processes, if there are any and it has not been done."""
    if processes() > 1:
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group()


def leave() -> None:
    """End this process with status 0 when all have come here; does nothing for a process alone.

    At once, without the interpreter's own end: during it gloo's threads now and then abort the process, as they let go
    of their last tensors too late, whether or not the group was destroyed before.
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

    answer = [None, None]
    if is_first():
        try:
            answer[0] = function()
        except UserError as error:
            answer[1] = error
    dist.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def first_alone(function: Callable[[], T]) -> T:
    """Call `function` on the first process, then on the others: they find the caches filled."""
    result = []
    from_first(lambda: result.append(function()))
    return result[0] if result else function()


def gather(value: T) -> list[T]:
    """The values of all processes, in their order."""
    if processes() == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def wait() -> None:
    """Wait until all processes have come here."""
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
