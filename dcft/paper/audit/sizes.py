"""Every printed parameter count of Tables 1 to 6 against the formulas of dcft.paper.counts."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dcft.config.schema import TARGETS
from dcft.errors import UserError
from dcft.paper import counts
from dcft.paper.audit.averages import by_task
from dcft.paper.audit.findings import TARGET_NAMES, Finding, join, row_id, row_name, verdict
from dcft.paper.audit.units import ways
from dcft.paper.printed import METHODS, READING, size, title
from dcft.sizes import fits

RANKS = (1, 2, 4, 8, 16)
BOTTLENECKS = (4, 8, 16, 32, 64)  # Zhang et al., 2023b (AdaLoRA), section 4, choose from these
KERNELS = (2, 4, 6, 8, 12)  # Table 4
# AdaLoRA's section 4 names five matrices for its LoRA: all but the attention output.
FIVE = ("query", "key", "value", "intermediate", "output")
MATRICES = {TARGET_NAMES[name]: TARGETS[name] for name in TARGETS} | {"five matrices (no attention output)": FIVE}
LABELS = 2  # most GLUE tasks; the head is counted for them


def head_count(row: pd.Series) -> int:
    """Parameters of the head that trains besides the method's own."""
    shape = counts.SHAPES[row["model"]]
    return counts.span_head(shape) if row["table"] == "table3" else counts.head(shape, LABELS)


def adapter_count(row: pd.Series) -> int | None:
    """Parameters of the method by formula, for our reading of a printed row; None if the row has no reading.

    Full fine-tuning counts everything, the head included.

    Raises:
        UserError: if kernel and stride do not cover a matrix.
    """
    shape, method = counts.SHAPES[row["model"]], row["method"]
    knobs = {name: int(row[name]) for name in ("kernel", "stride", "rank", "bottleneck") if not pd.isna(row[name])}
    try:
        found = counts.of_method(shape, method, TARGETS.get(row["targets"], ()), knobs)
    except ValueError as error:
        raise UserError(f"{row['table']}.csv:{row['line']}: {error}") from error
    return counts.backbone(shape) + head_count(row) if method == "full" else found


def configurations(row: pd.Series) -> Iterator[tuple[str, int]]:
    """A small set of configurations of the row's method, each with its count: what the search below tries."""
    shape, method = counts.SHAPES[row["model"]], row["method"]
    if method in counts.RANKED:
        for name, matrices in MATRICES.items():
            for rank in RANKS:
                yield f"r={rank} on {name}", counts.RANKED[method](shape, matrices, rank)
    elif method in counts.ADAPTERS:
        for bottleneck in BOTTLENECKS:
            yield f"bottleneck {bottleneck}", counts.ADAPTERS[method](shape, bottleneck)
    elif method == "dcft":
        for kernel in KERNELS:
            if all(fits(side, kernel, kernel) for side in (shape.hidden, shape.intermediate)):
                yield f"d={kernel}", counts.dcft(shape, TARGETS["all"], kernel, kernel)


def printed_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of Tables 1 to 6 that print a size, once each (Tables 4 and 5 print two lines a row)."""
    rows = cells.drop_duplicates(["table", "params", *READING])
    return rows[rows["params"] != ""].reset_index(drop=True)


def check(cells: pd.DataFrame, others: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """Compare every printed size with the formula.

    Args:
        cells: the printed figures.
        others: rows of other papers, which may print a size that agrees.

    Returns:
        A finding a row (and two about all of them), and a table for people: table, row, printed size, method's and
        head's parameters, the units in which printed and computed agree, a note.
    """
    findings, lines = [], []
    rows = printed_rows(cells)
    for _, row in rows.iterrows():
        count, head = adapter_count(row), head_count(row)
        whole = counts.backbone(counts.SHAPES[row["model"]]) + head
        agreeing = ways(count, row["params"], whole) if count is not None else []
        note = "; ".join(
            [*_notes(row, count, whole, agreeing, rows), *([] if agreeing else _origins(row, count, cells, others))]
        )
        computed = f"{count:,}" if count is not None else "the paper names no rank"
        findings.append(
            Finding(
                id=f"parameters/{row['table']}/{row_id(row)}",
                kind="parameters",
                table=title(row["table"]),
                what=f"size of {row_name(row)}",
                printed=row["params"],
                computed="; ".join(filter(None, [computed, note])),
                verdict=verdict(bool(agreeing)),
            )
        )
        lines.append(
            {
                "table": title(row["table"]),
                "row": row_name(row),
                "method": row["method"],
                "printed": row["params"],
                "computed": count,
                "head": 0 if row["method"] == "full" else head,
                "agrees": ", ".join(agreeing) or "no",
                "note": note,
            }
        )
    table = pd.DataFrame(lines).astype({"computed": "Int64"})
    return [*findings, _units(table), _heads(cells)], table


def _notes(row: pd.Series, count: int | None, whole: int, agreeing: list[str], rows: pd.DataFrame) -> list[str]:
    """Why printed and computed differ, or what a reader must know to see that they agree."""
    notes = []
    if row["params"].endswith("%") and count is not None:
        notes.append(f"{100 * count / whole:.4f} % of {whole:,}")
    if row["method"] == "dcft":
        notes += _dcft_notes(row, whole, agreeing, rows)
    elif row["method"] not in ("full", "bitfit") and not agreeing:
        tried = list(configurations(row))
        hits = [name for name, tried_count in tried if ways(tried_count, row["params"], whole)]
        if hits:
            notes.append(f"{join(hits)} would agree")
        else:
            notes.append(f"none of {len(tried)} configurations tried gives it")
        if row["method"] == "sora":
            number, _ = size(row["params"])
            notes.append(f"SoRA prunes: {100 * float(number) * 1e6 / count:.0f} % of r={row['rank']} would be left")
    return notes


def _origins(row: pd.Series, count: int | None, cells: pd.DataFrame, others: pd.DataFrame) -> list[str]:
    """Where a size that does not agree may come from: a row with the same scores, or another paper's size, copied."""
    scores = cells[(cells["table"] == row["table"]) & (cells["quantity"] == "score")]
    own = by_task(scores[scores["line"] == row["line"]])
    twins = [
        METHODS[line["method"].iloc[0]]
        for _, line in scores[scores["line"] != row["line"]].groupby("line", sort=False)
        if by_task(line) == own and line["params"].iloc[0] == row["params"]
    ]
    notes = [f"size and scores are those of {join(twins)}"] if twins else []
    copied = others[(others["model"] == row["model"]) & (others["method"] == row["method"])]
    for _, source in copied.iterrows():
        if count is not None and source["params"][-1:] in ("M", "B") and ways(count, source["params"]):
            notes.append(f"{source['paper']} prints {source['params']}")
    return notes


def _dcft_notes(row: pd.Series, whole: int, agreeing: list[str], rows: pd.DataFrame) -> list[str]:
    shape = counts.SHAPES[row["model"]]
    notes = []
    if row["params"].endswith("%"):
        tried = list(configurations(row))
        hits = [name for name, count in tried if ways(count, row["params"], whole)]
        notes.append(f"of {len(tried)} kernels tried {join(hits) or 'none'} gives it")
    if not agreeing:
        notes.append(f"{adapter_count(row) / 1024:.2f}k")
        same = [(rows[name] == row[name]) for name in ("model", "method", "kernel", "stride", "targets")]
        elsewhere = [text for text in rows.loc[np.logical_and.reduce(same), "params"].unique() if text != row["params"]]
        if elsewhere:
            notes.append(f"printed {join(elsewhere)} elsewhere")
        if ways(_without_one(row), row["params"]):
            others = rows[(rows["table"] == row["table"]) & (rows["line"] != row["line"])]
            right = sum(bool(ways(_without_one(other), other["params"])) for _, other in others.iterrows())
            notes.append(
                f"without the + 1 of eq. 9 it would be {_without_one(row):,} and agree, as {right} of the other "
                f"{len(others)} rows would"
            )
    if row["targets"] == "qkvo":
        square = counts.dcft(shape, (*TARGETS["qkv"], "attention_output"), int(row["kernel"]), int(row["stride"]))
        notes.append(f"O takes in the FFN output; without it the size is {square:,} = {square / 1024:.0f}k")
    return notes


def _without_one(row: pd.Series) -> int:
    """The count if A and B had `(n - d) / s` entries, one less than eq. 9 says."""
    return adapter_count(row) - 2 * len(TARGETS[row["targets"]]) * counts.SHAPES[row["model"]].layers


def _units(table: pd.DataFrame) -> Finding:
    """Whether all rows count in the same unit."""
    in_binary, in_decimal = (table["agrees"].str.contains(base, regex=False) for base in ("2^", "10^"))
    binary, decimal = in_binary & ~in_decimal, in_decimal & ~in_binary
    words = [
        f"{(binary & rows).sum()} sizes of {who} agree only in 2^10 or 2^20, {(decimal & rows).sum()} in 10^3 or 10^6"
        for who, rows in (("DCFT", table["method"] == "dcft"), ("the baselines", table["method"] != "dcft"))
    ]
    return Finding(
        id="parameters/units",
        kind="parameters",
        table="Tables 1 to 6",
        what="one unit for all sizes",
        printed=f"{len(table)} sizes",
        computed="; ".join(words),
        verdict=verdict(not (binary.any() and decimal.any())),
    )


def _heads(cells: pd.DataFrame) -> Finding:
    """The head trains too and is counted nowhere."""
    rows = printed_rows(cells)
    row = rows[(rows["table"] == "table1") & (rows["method"] == "dcft")].iloc[0]
    count, head = adapter_count(row), head_count(row)
    return Finding(
        id="parameters/head",
        kind="parameters",
        table=title(row["table"]),
        what=f"{METHODS[row['method']]}'s size counts what trains",
        printed=row["params"],
        computed=f"{count:,}, and {head:,} in the head, which every method trains: {head / count:.0f} times as many",
        verdict=verdict(bool(ways(count + head, row["params"]))),
    )
