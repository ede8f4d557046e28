"""The records of results/runs: list, check, export and show them.

python scripts/records.py list task=stsb method=dcft   # one line a run: status, score, cell
python scripts/records.py check                        # every problem with its path; then status 1
python scripts/records.py export --csv runs.csv        # one row a run, one column a setting
python scripts/records.py show cola.minilm-l6.full.s7  # one run: settings, scores, history, costs, its command
python scripts/records.py upgrade                      # old records get today's fields and names
python scripts/records.py schema                       # docs/record.schema.json
"""

import argparse
import json
import shlex
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from dcft.cli import command, explain
from dcft.config import overrides
from dcft.config.arguments import parse, plain
from dcft.errors import UserError, printable, shown
from dcft.results import atomic, frames, predictions, records
from dcft.results.record import Record, from_json, json_schema, same
from dcft.views import run


def select(results: Path, filters: list[str]) -> list[dict[str, Any]]:
    """The rows of the records that have the given values; files that are no records are counted on stderr.

    Raises:
        UserError: if no record has a column of a name.
    """
    good, bad = records.read_all(results)
    if bad:
        print(f"note: {len(bad)} files are no records; `check` names them", file=sys.stderr)
    rows = [frames.row(path, record) for path, record in good.items()]
    for override in parse(filters):
        key, value = override.key_or_group, plain(override.value())
        if rows and not any(key in row for row in rows):
            raise UserError(f"{key}={shown(value)}: no record has {key}; the first line of `export` has all names")
        rows = [row for row in rows if key in row and row[key] == value]
    return rows


def list_(arguments: argparse.Namespace) -> None:
    """One line a run."""
    for row in select(arguments.results, arguments.filters):
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        print(printable(f"{row['status']:<6} {score:>6}  {row['cell']}"))


def export(arguments: argparse.Namespace) -> None:
    """One row a run, as CSV or Parquet."""
    from dcft.views.tables.csv import escape  # loads pandas

    frame = frames.table(select(arguments.results, arguments.filters))
    if arguments.parquet:
        atomic.write(arguments.parquet, frame.to_parquet(index=False))
        return
    for name in frame.select_dtypes("string"):
        frame[name] = frame[name].map(escape, na_action="ignore")
    text = frame.rename(columns=escape).to_csv(index=False, lineterminator="\n")
    if arguments.csv:
        atomic.write(arguments.csv, text)
    else:
        print(text, end="")


def show(arguments: argparse.Namespace) -> None:
    """One run, for people."""
    path = records.find(arguments.results, arguments.cell)
    record = records.read(path)
    try:
        given = overrides.overrides(record.config)
        line = shlex.join(overrides.command(given))
    except (UserError, HydraException) as error:
        given, line = {}, f"none: {explain(error)}"
    differing = {key: value for key, value in given.items() if key not in overrides.CHOICES}
    run.show(record, path, differing, line)


def check(arguments: argparse.Namespace) -> None:
    """Name every file that is no record, is one twice, or has scores that its own predictions do not give.

    Raises:
        SystemExit: with status 1 if there is one.
    """
    results = arguments.results
    good, bad = records.read_all(results)
    problems: dict[Path, list[str]] = defaultdict(list)
    for one in [*bad, *strays(results)]:
        problems[one.path].append(one.reason)
    for path, reason in [*copies(results, good, problems), *orphans(results)]:
        problems[path].append(reason)
    outcomes = Counter()
    for path, record in good.items():
        problem = disagreement(results, record) if record.predictions else None
        known = predictions.path_of(results, record).is_file()
        outcomes["differ" if problem else "agree" if record.predictions and known else "have none"] += 1
        if problem:
            problems[results / path].append(problem)
    for path, reasons in sorted(problems.items()):
        print(printable(f"{path}: {'; '.join(reasons)}"))
    print(f"predictions: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}")
    print(f"{len(good)} records, {len(problems)} bad")
    if problems:
        raise SystemExit(1)


def strays(results: Path) -> list[records.BadRecord]:
    """Files below `runs` that no view would read, because they lie in no record's place."""
    runs = results / "runs"
    lost = set(runs.rglob("*.json")) - set(runs.glob("*/*/*.json"))
    return [records.BadRecord(path, "no record lies here; move it to runs/MODEL/TASK/CELL.json") for path in lost]


def copies(results: Path, good: dict[str, Record], others: dict[Path, list[str]]) -> list[tuple[Path, str]]:
    """Records of a cell that another file holds as well: the same settings, data, weights and tag of the method."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path, record in good.items():
        places[record.cell].append(results / path)
    for path in sorted(others):
        try:
            places[from_json(path.read_text(encoding="utf-8")).cell].append(path)
        except (ValueError, OSError):
            continue  # named already
    twice = [paths for paths in places.values() if len(paths) > 1]
    return [(path, f"{first} holds the same cell; keep one") for first, *rest in twice for path in rest]


def orphans(results: Path) -> list[tuple[Path, str]]:
    """Predictions without a record."""
    place = results / "predictions"
    found = ((path, path.relative_to(place).with_suffix(".json")) for path in sorted(place.rglob("*.parquet")))
    lost = [(path, results / "runs" / record) for path, record in found if not (results / "runs" / record).is_file()]
    return [(path, f"its record {record} is missing") for path, record in lost]


def disagreement(results: Path, record: Record) -> str | None:
    """How a record's numbers differ from those that its predictions give; None if they do not.

    A correlation's last digits depend on the order of a sum, which differs between processors.
    """
    try:
        answers = predictions.read(results, record)
    except UserError as error:
        return str(error)
    from dcft.training.metrics import create  # loads datasets and evaluate
    from dcft.training.scoring import score_answers

    task, history = record.config["task"], {entry.step: entry for entry in record.history}
    for step, table in (answers or {}).items():
        if step not in history:
            return f"its predictions are of step {step}, at which it has no evaluation"
        scores = score_answers(table, create(task["metric"]), task["score"])
        for key in ("score", "metrics", "metrics_halves", "collapsed"):
            stated, computed = getattr(history[step], key), getattr(scores, key)
            if not same(stated, computed):
                return f"{key} at step {step} is {stated}; its predictions give {computed}"
    return None


def upgrade(arguments: argparse.Namespace) -> None:
    """Write every record of an earlier version in today's form under its new name, and delete the old file.

    Raises:
        UserError: if another record has the new name already; both files stay as they are.
    """
    for bad in records.read_all(arguments.results)[1]:
        try:
            text = bad.path.read_text(encoding="utf-8")
            record = from_json(text)
        except (ValueError, OSError):
            continue  # not an old record: `check` names it
        if "schema_version" in json.loads(text):
            continue
        path = arguments.results / records.place(record)
        if path.exists():
            raise UserError(f"{bad.path}: its new name {path} is taken; delete one of them")
        records.write(path, record)
        bad.path.unlink()
        print(printable(f"{bad.path} -> {path}"))


def schema(_: argparse.Namespace) -> None:
    """The JSON Schema of a record."""
    print(json_schema(), end="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    made = {}
    for action in (list_, check, export, show, upgrade, schema):
        name, text = action.__name__.rstrip("_"), action.__doc__.splitlines()[0]
        made[name] = actions.add_parser(name, parents=[folder], help=text, description=text)
        made[name].set_defaults(action=action)
    for name in ("list", "export"):
        text = "task=rte seed=6 train.lr=1e-3 and the like: only runs that have these values"
        made[name].add_argument("filters", nargs="*", metavar="KEY=VALUE", help=text)
    formats = made["export"].add_mutually_exclusive_group()
    formats.add_argument("--csv", type=Path, metavar="FILE", help="CSV; without a file it is printed")
    formats.add_argument("--parquet", type=Path, metavar="FILE", help="Parquet, with types")
    made["show"].add_argument("cell", metavar="CELL", help="a cell's name, its beginning, or the path of a record")
    arguments = parser.parse_args()
    if arguments.action in (list_, check, export, upgrade) and not arguments.results.is_dir():
        raise UserError(f"--results {shown(arguments.results)} is no folder; give the one that has runs/")
    arguments.action(arguments)


if __name__ == "__main__":
    command(main)
