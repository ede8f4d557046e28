"""Faults that are injected for real. `make faults` injects all of them and prints the table of docs/reliability.md."""

import json
import os
from collections import defaultdict

import pytest

ALL = os.environ.get("FAULTS") == "all"  # else a choice of them, the same in every run

# Ten steps, five evaluations, dropout; in the working directory.
CELL = ["task=toy_cls", "model=tiny-bert", "train.max_steps=10", "eval.every=2", "data.max_train=64"]
CELL += ["data.max_eval=40", "train.batch_size=8", "train.cls_dropout=0.1"]
CELL += ["results.dir=results", "outputs.dir=outputs"]
OF_AN_ATTEMPT = ("git", "started", "finished", "attempts", "resumed_from", "time", "peak_memory_mb", "peak_reserved_mb")


def left(folder):
    """What a cell has left: every file, but for what belongs to one attempt in the record."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # Temporary files of the shared caches stay: another process might be writing them.
    files = {
        name: files[name] for name in files if not name.startswith(("outputs/cache/.", "outputs/cache/tokens/tmp"))
    }
    for name in files:
        if name.startswith("results/runs"):
            record = json.loads(files[name])
            del record["config"]["results"], record["config"]["outputs"]  # folders
            for entry in record["history"]:
                del entry["train_s"], entry["eval_s"]
            files[name] = {key: value for key, value in record.items() if key not in OF_AN_ATTEMPT}
    return files


def difference(found, expected):
    """The first file, or field of the record, that differs."""
    for name in sorted(found.keys() | expected.keys()):
        ours, theirs = found.get(name), expected.get(name)
        if ours != theirs:
            keys = [key for key in theirs if ours.get(key) != theirs[key]] if isinstance(ours, dict) and theirs else ""
            return f"{name} {'is left' if theirs is None else 'is gone' if ours is None else 'differs'} {keys}"


@pytest.fixture
def tally(record_property):
    """Count the trials of a promise: `tally("a promise", "the fault", trials=40, lost=["step 3: no record"])`.

    The test fails if a trial was lost.
    """

    def count(promise: str, fault: str, trials: int, lost: list[str]) -> None:
        record_property("fault", (promise, fault, trials, len(lost)))
        assert trials
        assert not lost, f"{promise}: {fault}: {len(lost)} of {trials} lost: " + "\n".join(lost[:5])

    return count


def pytest_terminal_summary(terminalreporter) -> None:
    if not ALL:
        return
    sums = defaultdict(lambda: [0, 0])
    for report in (report for found in terminalreporter.stats.values() for report in found):
        for name, value in getattr(report, "user_properties", []) if getattr(report, "when", "") == "call" else []:
            if name == "fault":
                *row, trials, lost = value
                sums[tuple(row)][0] += trials
                sums[tuple(row)][1] += lost
    terminalreporter.write_line("\n| promise | fault | trials | lost |\n|---|---|---:|---:|")
    for (promise, fault), (trials, lost) in sorted(sums.items()):
        terminalreporter.write_line(f"| {promise} | {fault} | {trials:,} | {lost} |")
