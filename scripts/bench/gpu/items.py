"""One item: a command in a process of its own, so that neither memory nor a broken GPU context outlives it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from bench.gpu.plan import Item
from bench.suite import ROOT
from dcft.results import atomic, records

NO_MEMORY = "out of memory"


def run(item: Item, seconds: float) -> dict[str, Any] | None:
    """Run an item.

    Args:
        item: its command gets the options that name its output.
        seconds: time after which it is ended.

    Returns:
        `report`: the command's JSON, or counts and names of tests; None if the command failed. `failure`: the last line
        of its output then, else None. `complete`: false if only some rows fitted into memory. `seconds`. None if the
        time was up.
    """
    started = time.monotonic()
    result = _run(item, item.words, seconds)
    if item.fallback and result is not None and NO_MEMORY in (result["failure"] or ""):
        result = _run(item, (*item.words, *item.fallback), seconds - (time.monotonic() - started))
        result = result and result | {"complete": False}
    return result and result | {"seconds": round(time.monotonic() - started, 1)}


def failed(reason: str) -> dict[str, Any]:
    """The result of an item that has none."""
    return {"report": None, "failure": reason, "complete": True}


def _run(item: Item, words: tuple[str, ...], seconds: float) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder) / "tests.xml"
        output = [f"--junitxml={tests}"] if item.part == "tests" else ["--output", folder]
        command = [sys.executable, *words, *output]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        try:
            printed, _ = process.communicate(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:  # and with it the workers of a sweep
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if tests.is_file():
            return failed("") | {"report": read_tests(tests), "failure": None}
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.json")]
        if process.returncode or len(reports) != 1:
            return failed((printed.strip() or f"exit status {process.returncode}").splitlines()[-1])
        return {"report": reports[0], "failure": None, "complete": True}


def read_tests(path: Path) -> dict[str, Any]:
    """Number of tests that passed, names of those that failed, and reasons of those that were skipped, by name."""
    passed, failures, skipped = 0, [], {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(name)
        elif (skip := case.find("skipped")) is not None:
            skipped[name] = skip.get("message", "")
        else:
            passed += 1
    return {"passed": passed, "failed": failures, "skipped": skipped}


def write(path: Path, item: Item, result: dict[str, Any]) -> None:
    """Write an item's file."""
    head = {"item": item.name, "part": item.part, "command": shlex.join(["python", *item.words])}
    atomic.write(path, json.dumps(head | result | {"finished": records.now()}, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, Any] | None:
    """The content of an item's file; None if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
