"""A process that has loaded everything and runs cells in forks of itself: `python -m tests.faults.forks OVERRIDE ...`.

Each line of its input is a JSON object: `folder` where the cell runs, and `operation`, before which the cell is
killed, or `seconds`, after which it is. Each line of its output says how the cell ended, and how many file-system
operations below the folder there were.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time

from dcft.training.run import run_cell
from tests.conftest import configure

LOADED = ("dcft", "transformers", "peft", "datasets", "torch", "pyarrow", "pandas", "sklearn")


def child(folder: str, overrides: list[str], operation: int | None, answer: int) -> None:
    """Run the cell in this process, which then ends."""
    os.chdir(folder)
    library = ctypes.CDLL(None)
    if operation is not None:
        library.kill_at(folder.encode(), operation)
    try:
        config = configure(*overrides)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            run_cell(config)
        count = library.kill_count() if operation is not None else 0
        os.write(answer, json.dumps({"operations": count, "modules": sorted(sys.modules)}).encode())
    except BaseException as error:
        os.write(answer, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def run(overrides: list[str], folder: str, operation: int | None = None, seconds: float | None = None) -> dict:
    """Run the cell in a fork of this process and say how it ended."""
    read, write = os.pipe()
    if (number := os.fork()) == 0:
        os.close(read)
        child(folder, overrides, operation, write)
    os.close(write)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(number, signal.SIGKILL)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    if status:  # killed, perhaps in the middle of its answer
        return {"status": status}
    answer = json.loads(answer)
    for module in answer.pop("modules", []):
        if module.split(".")[0] in LOADED:
            load(module)
    return {"status": status, **answer}


def load(module: str) -> None:
    """Load what a cell has loaded, so that the next fork finds it."""
    with contextlib.suppress(Exception):  # some names are no modules
        importlib.import_module(module)


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(sys.argv[1:], **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
