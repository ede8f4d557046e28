"""Faults that are injected for real. `make faults` injects all of them and prints the table of docs/reliability.md."""

import os

import pytest

ALL = os.environ.get("FAULTS") == "all"  # else a choice of them, the same in every run


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
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    rows = [value for report in reports if report.when == "call" for _, value in report.user_properties]
    terminalreporter.write_line("\n| promise | fault | trials | lost |\n|---|---|---:|---:|")
    for promise, fault, trials, lost in sorted(map(tuple, rows)):
        terminalreporter.write_line(f"| {promise} | {fault} | {trials:,} | {lost} |")
