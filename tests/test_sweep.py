"""A table as a sweep: it runs what is missing, goes on past failures, and judges by the records."""

import subprocess
import sys

from tests.conftest import ROOT, SHORT

TABLE = ["table=demo", "model=tiny-bert", *SHORT]


def test_a_table_runs_what_is_missing(command, tmp_path):
    first = command(*TABLE)
    assert first.returncode == 0, first.stderr
    assert "6 cells, 0 done, 6 to run" in first.stdout
    assert "6 done" in first.stdout
    for suffix in ("md", "tex"):
        assert (tmp_path / "outputs" / "demo" / "tables" / f"demo.{suffix}").is_file()

    rendered = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "render_table.py"), *(part.removeprefix("table=") for part in TABLE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    table = first.stdout[first.stdout.index("DCFT and LoRA") : first.stdout.index("6 done")]
    assert table in rendered.stdout

    record = sorted((tmp_path / "outputs" / "demo" / "runs").glob("*/*/*.json"))[0]
    record.unlink()
    second = command(*TABLE)
    assert second.returncode == 0, second.stderr
    assert "6 cells, 5 done, 1 to run" in second.stdout
    assert record.is_file()


def test_failing_cells_are_listed_with_their_commands(command, tmp_path):
    failed = command(*TABLE, "train.lr=1e30", "train.warmup=0", "train.clip=1e30")
    assert failed.returncode == 1
    assert "6 failed" in failed.stdout
    assert failed.stdout.count("missing: python run.py task=") == 6
    assert "nan at step" in failed.stdout
    assert "6 of 6 cells have no record and are blank" in " ".join(failed.stdout.split())
    assert "Traceback" not in failed.stderr
