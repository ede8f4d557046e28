"""Records as data: one row a run, one column a field or a setting."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcft.config.flatten import flatten
from dcft.results import records
from dcft.results.record import Record

if TYPE_CHECKING:
    import pandas as pd  # 0.5 s, which a list of records does without

SERIES = ("history", "losses")  # many values a run: no columns
FIRST = ("record", "cell", "status", "task", "model", "method", "seed", "score")
DTYPES = {bool: "boolean", int: "Int64", float: "Float64"}  # pandas' types that know a missing value


def frame(results: Path | str = "results") -> "pd.DataFrame":
    """All records of a results folder, in order of their paths. Files that are no records are left out.

    Args:
        results: the folder that holds `runs`.

    Returns:
        One row a run. `record` is its path below the folder; `rows` describes the other columns. A missing value is
        pandas' `NA`. A column has one type: boolean, Int64, Float64, or string, to which mixed values become.
    """
    return table([row(path, record) for path, record in records.read_all(Path(results))[0].items()])


def row(path: str, record: Record) -> dict[str, Any]:
    """A record's values by dotted name: fields as in docs/records.md, settings as on the command line (`train.lr`).

    The two halves of `metrics_halves` are `metrics_halves.0.*` and `metrics_halves.1.*`. A list is JSON text.
    """
    fields = {key: value for key, value in asdict(record).items() if key not in SERIES}
    fields["status"] = str(record.status)
    fields["metrics_halves"] = dict(enumerate(fields["metrics_halves"] or []))
    flat = {"record": path, **flatten(fields.pop("config")), **flatten(fields)}  # `seed` is in both, the same
    flat = {key: flat[key] for key in FIRST} | flat
    return {key: json.dumps(value) if isinstance(value, list) else value for key, value in flat.items()}


def table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """Rows of `row` as a data frame: columns in the order in which the rows bring them."""
    import pandas as pd

    names = dict.fromkeys(name for one in rows for name in one)
    return pd.DataFrame({name: _column([one.get(name) for one in rows]) for name in names})


def _column(values: list[Any]) -> "pd.Series":
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    dtype = DTYPES.get(float if kinds == {int, float} else kinds.pop() if len(kinds) == 1 else str)
    if dtype is None:
        return pd.Series([value if value is None else str(value) for value in values], dtype="string")
    return pd.Series(values, dtype=dtype)
