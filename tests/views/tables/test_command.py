"""`python scripts/tables.py`, as a user types it."""

import pytest

from tests.views.tables.test_expected import EXPECTED


@pytest.fixture
def command(script, results):
    """Run `python scripts/tables.py ...` on the copy of the records."""
    return lambda *arguments: script("tables", *arguments, "--results", results)


def names(results):
    return {path.name.rpartition(".")[0] for path in (results / "tables").iterdir()}


def test_it_renders_everything_that_there_is_something_for(command, results):
    for path in results.glob("runs/*/*/*-table3.*"):
        path.unlink()  # a sweep without any record
    done = command()
    assert done.returncode == 0, done.stderr
    published = {f"table{n}.published" for n in range(1, 11)}
    setup = {f"table{n}.{view}" for n in range(7, 11) for view in ("ours", "compare")}
    sweeps = {"table1.ours", "table1.compare", "table4.ours", "table4.compare", "table4.statistics"}
    sweeps |= {f"table6-minilm-l6-local-max_steps20.{view}" for view in ("ours", "compare")}
    assert names(results) == published | setup | sweeps | {"demo.ours", "demo.statistics"}
    assert len(done.stdout.splitlines()) == 4 * len(names(results))
    for path in EXPECTED.glob("tables/table4.compare.*"):
        assert (results / "tables" / path.name).read_bytes() == path.read_bytes()


def test_one_view_of_one_table_is_printed_too(command, results):
    done = command("table4", "--view", "compare", "--protocol", "half", "--baseline", "DCFT (d=8)")
    assert done.returncode == 0, done.stderr
    assert names(results) == {"table4.compare-half"}
    assert "− DCFT (d=8)" in done.stdout
    assert "chosen on one half" in done.stdout
    assert done.stdout.splitlines()[-1] == str(results / "tables" / "table4.compare-half.html")


def test_a_baseline_for_all_tables_is_used_where_it_is_a_row(command, results):
    done = command("--view", "ours", "--baseline", "lora")
    assert done.returncode == 0, done.stderr
    compared = {path.name for path in (results / "tables").glob("*.ours.md") if "− LoRA" in path.read_text()}
    assert compared == {"table1.ours.md", "table3.ours.md", "demo.ours.md"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel1"], "tabel1: there is no such table; give one of table1, "),
        (["table4", "--view", "side"], "side: there is no such view; give one of ours, "),
        (["table4", "--protocol", "first"], "first: there is no such protocol; give one of best, last, half"),
        (["table4", "--baseline", "sora"], "baseline=sora is no row of table4; give one of "),
        (["--baseline", "sora"], "baseline=sora is no row of any sweep in "),
        (["table2", "--view", "ours"], "table2 has no view ours, only published; its cells are not planned"),
        (["table7", "--data-root", "/nowhere"], "data root /nowhere does not exist"),
        (["table7", "--data-root", "."], "--data-root . has no official file of table7"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(command, results, arguments, message):
    failed = command(*arguments)
    assert failed.returncode == 1
    assert failed.stdout == ""
    [line] = failed.stderr.strip().splitlines()
    assert line.startswith(f"error: {message}")
    assert not (results / "tables").exists()


def test_a_folder_that_cannot_be_written_is_one_line(command, results):
    (results / "tables").write_text("a file")
    failed = command("table2")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: {results / 'tables'} cannot be written")
    assert len(failed.stderr.splitlines()) == 1
