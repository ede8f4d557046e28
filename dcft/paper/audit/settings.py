"""Tables 7 to 10 against the suite's own configuration: sizes of the data sets, and headings and values of the recipes.

The configuration holds what the official scripts set (conf/recipe/script) and the sizes of the complete data sets
(conf/task).
"""

from decimal import Decimal
from functools import cache

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dcft.config.conf import CONF
from dcft.paper.audit.findings import FAILS, HOLDS, UNTOLD, Finding, verdict
from dcft.paper.audit.units import ways
from dcft.paper.printed import TASKS, size, title

FIELDS = {  # printed heading -> the field of a script that it names (gamma: AdaLoRA's orthogonality coefficient)
    "learning rate": "lr",
    "batch size": "batch_size",
    "r": "init_rank",
    "Epochs": "epochs",
    "Dropout": "cls_dropout",
    "gamma": "orth_coef",
    "init_warmup": "tinit",
    "Delta_T": "delta_t",
    "t_f": "tfinal",
}
SPLITS = {"train": ["train"], "valid": ["dev", "dev_mismatched"]}


def scripts(tasks: list[str]) -> pd.DataFrame:
    """What the official scripts set, a row a task; a value that was itself taken from the paper's tables is missing."""
    rows = {task: _script(task) for task in tasks}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object).reindex(columns=list(FIELDS.values()))


@cache
def _script(task: str) -> dict[str, Decimal]:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        recipe = OmegaConf.to_container(compose(f"recipe/script/{task}").recipe.script)
    sources = recipe.pop("sources", {})
    return {
        field: Decimal(str(recipe[field]))
        for field in FIELDS.values()
        if recipe.get(field) is not None and not sources.get(field, "").startswith("Table")
    }


def check(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """Headings and values of Tables 9 and 10, then the sizes in Tables 7 and 8."""
    findings, before = [], None
    for name in ("table9", "table10"):
        printed = _settings(tables[name])
        found = scripts(list(printed.index))
        meaning = {}
        for heading in printed:
            repeats = before is not None and heading in before and _starts_with(before[heading], printed[heading])
            finding, field = _heading(name, printed[heading], tables[name][heading], found, repeats)
            findings.append(finding)
            meaning[heading] = field
        findings += _values(name, tables[name], printed, found, meaning)
        before = printed
    return findings + sizes(tables)


def _settings(table: pd.DataFrame) -> pd.DataFrame:
    """A table of settings as numbers, a row a task."""
    printed = table.set_index(table["dataset"].map(TASKS))[[name for name in FIELDS if name in table]]
    return printed.map(lambda text: size(text)[0])


def _starts_with(column: pd.Series, rows: pd.Series) -> bool:
    return list(column[: len(rows)]) == list(rows)


def _heading(
    name: str, column: pd.Series, texts: pd.Series, found: pd.DataFrame, repeats: bool
) -> tuple[Finding, str | None]:
    """Whether a column holds what its heading says, and the field of the scripts that it does hold (None: unknown).

    Args:
        name: the table.
        column: its numbers, a row a task; `texts`: the same as printed.
        found: what the scripts set, a row a task.
        repeats: whether the column repeats the first rows of the same column in the table before.
    """
    own = FIELDS[column.name]
    matches = {field: int((column == found[field]).sum()) for field in found}
    known = {field: int(found[field].notna().sum()) for field in found}
    best = max(matches, key=lambda field: (matches[field], field == own))
    field = best if 2 * matches[best] > known[best] else None
    words = [f"equals the scripts' {own} in {matches[own]} of {known[own]} rows"]
    if field and field != own:
        words.append(f"their {field} in {matches[field]} of {known[field]}")
    if repeats and field is None:
        words.append(f"repeats the first {len(column)} rows of this column in the table before")
    finding = Finding(
        id=f"heading/{name}/{column.name}",
        kind="heading",
        table=title(name),
        what=f"the column {column.name} holds {own}",
        printed=", ".join(texts),
        computed=", ".join(words),
        verdict=HOLDS if field == own else FAILS if field or repeats else UNTOLD,
    )
    return finding, field


def _values(
    name: str, table: pd.DataFrame, printed: pd.DataFrame, found: pd.DataFrame, meaning: dict[str, str | None]
) -> list[Finding]:
    """Every printed value against the script's, with each column under the field that it holds."""
    findings = []
    for (_, texts), task in zip(table.iterrows(), printed.index, strict=True):
        for heading, field in meaning.items():
            if field is None or pd.isna(found.loc[task, field]):
                continue
            script = found.loc[task, field]
            findings.append(
                Finding(
                    id=f"setting/{name}/{task}/{field}",
                    kind="setting",
                    table=title(name),
                    what=f"{field} of {texts['dataset']} (column {heading}) is the script's",
                    printed=texts[heading],
                    computed=f"script: {script}",
                    verdict=verdict(printed.loc[task, heading] == script),
                )
            )
    return findings


def sizes(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """The training and dev sets' sizes in Tables 7 and 8 against the complete data sets."""
    findings = []
    for name in ("table7", "table8"):
        for _, row in tables[name].iterrows():
            task = TASKS[row["dataset"]]
            rows = OmegaConf.load(CONF / "task" / f"{task}.yaml").rows
            for column, splits in SPLITS.items():
                count = sum(rows.get(split, 0) for split in splits)
                findings.append(
                    Finding(
                        id=f"size/{name}/{task}/{column}",
                        kind="size",
                        table=title(name),
                        what=f"#{column} of {row['dataset']}",
                        printed=row[column],
                        computed=f"{count:,}",
                        verdict=verdict(bool(ways(count, row[column]))),
                    )
                )
    return findings
