"""Predictions as files."""

import json
import sys
from pathlib import Path

import pandas as pd

from dcft.errors import UserError
from dcft.results import atomic

SUFFIXES = (".tsv", ".jsonl", ".json")


def check(path: Path) -> None:
    """Refuse a file whose form is not known.

    Raises:
        UserError: if the suffix is none of `SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: give a file whose name ends in {', '.join(SUFFIXES)}")


def predictions(table: pd.DataFrame, path: Path | None) -> None:
    """Write predictions, completely or not at all.

    Args:
        table: what `predict.table` returns.
        path: of the file. `.tsv` and `.jsonl` hold the table; `.json` is an object from a row's id to its prediction,
            as SQuAD's official evaluation reads it. None: TSV on the terminal.
    """
    if path is None:
        table.to_csv(sys.stdout, sep="\t", index=False)
    elif path.suffix == ".tsv":
        atomic.write(path, table.to_csv(sep="\t", index=False))
    elif path.suffix == ".jsonl":
        atomic.write(path, table.to_json(orient="records", lines=True, force_ascii=False))
    else:
        by_id = table.set_index(table["id"].astype(str))["prediction"].to_dict()
        atomic.write(path, json.dumps(by_id, indent=1) + "\n")
