"""Check the records of results/runs, bring old ones into today's form, or print the JSON Schema of a record.

python scripts/records.py check      # every file that is not a record, with the reason; status 1 if there is one
python scripts/records.py upgrade    # old records get today's fields and names
python scripts/records.py schema     # docs/record.schema.json
"""

import argparse
import json
from pathlib import Path

from dcft.cli import command
from dcft.errors import UserError
from dcft.results import records
from dcft.results.record import from_json, json_schema


def check(results: Path) -> None:
    """Name every bad record.

    Raises:
        SystemExit: with status 1 if there is one.
    """
    good, bad = records.read_all(results)
    for one in bad:
        print(one)
    print(f"{len(good)} records, {len(bad)} bad")
    if bad:
        raise SystemExit(1)


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
        print(f"{bad.path} -> {path}")


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
