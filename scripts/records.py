"""Check the records of results/runs, bring old ones into today's form, or print the JSON Schema of a record.

python scripts/records.py check      # files that are no record, scores that the predictions do not give; then status 1
python scripts/records.py upgrade    # old records get today's fields and names
python scripts/records.py schema     # docs/record.schema.json
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from dcft.cli import command
from dcft.errors import UserError, printable
from dcft.results import predictions, records
from dcft.results.record import Record, from_json, json_schema


def check(results: Path) -> None:
    """Name every bad record, and every score that the run's own predictions do not give.

    Raises:
        SystemExit: with status 1 if there is one.
    """
    good, bad = records.read_all(results)
    for one in bad:
        print(one)
    outcomes = Counter()
    for path, record in good.items():
        problem = disagreement(results, record) if record.predictions else None
        known = predictions.path_of(results, record).is_file()
        outcomes["differ" if problem else "agree" if record.predictions and known else "have none"] += 1
        if problem:
            print(printable(f"{results / path}: {problem}"))
    print(f"predictions: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}")
    print(f"{len(good)} records, {len(bad)} bad")
    if bad or outcomes["differ"]:
        raise SystemExit(1)


def disagreement(results: Path, record: Record) -> str | None:
    """How a record's numbers differ from those that its predictions give, to the last bit; None if they do not."""
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
            if stated != computed:
                return f"{key} at step {step} is {stated}; its predictions give {computed}"
    return None


def upgrade(results: Path) -> None:
    """Write every record of an earlier version in today's form under its new name, and delete the old file.

    Raises:
        UserError: if another record has the new name already; both files stay as they are.
    """
    for bad in records.read_all(results)[1]:
        try:
            text = bad.path.read_text(encoding="utf-8")
            record = from_json(text)
        except (ValueError, OSError):
            continue  # not an old record: `check` names it
        if "schema_version" in json.loads(text):
            continue
        path = results / records.place(record)
        if path.exists():
            raise UserError(f"{bad.path}: its new name {path} is taken; delete one of them")
        records.write(path, record)
        bad.path.unlink()
        print(printable(f"{bad.path} -> {path}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("check", "upgrade", "schema"))
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    if arguments.action == "schema":
        print(json_schema(), end="")
    else:
        {"check": check, "upgrade": upgrade}[arguments.action](arguments.results)


if __name__ == "__main__":
    command(main)
