"""How each statement of results/paper/claims.csv is checked: a function named like the claim.

It gets the printed figures and the number that the statement names, if it names one; it returns what was computed and
a verdict.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pandas as pd

from dcft.config.schema import TARGETS
from dcft.errors import UserError
from dcft.paper import counts
from dcft.paper.audit import baselines as sources
from dcft.paper.audit import single_runs
from dcft.paper.audit.averages import by_task, mean
from dcft.paper.audit.findings import UNTOLD, join, row_name, verdict
from dcft.paper.audit.sizes import adapter_count
from dcft.paper.audit.units import shorten, ways
from dcft.paper.printed import METHODS, numbers, size, value
from dcft.tuners.sizes import fits

LARGEST_KERNEL = 8  # "most efficient": the kernel of DCFT^Delta in Tables 1 and 2


class Printed:
    """The printed figures, by row."""

    def __init__(self, tables: dict[str, pd.DataFrame], cells: pd.DataFrame):
        self.cells = cells
        self.others = tables["other_papers"]

    def lines(self, table: str, quantity: str = "score", **reading) -> list[pd.DataFrame]:
        """The cells of every row of a table that reads like this, one frame a row.

        Raises:
            UserError: if there is none.
        """
        part = self.cells[(self.cells["table"] == table) & (self.cells["quantity"] == quantity)]
        for name, wanted in reading.items():
            part = part[part[name] == wanted]
        if part.empty:
            words = ", ".join(f"{name}={wanted}" for name, wanted in reading.items())
            raise UserError(f"{table}.csv has no row with {quantity} and {words}, which a claim of the text is about")
        return [row for _, row in part.groupby("line", sort=False)]

    def texts(self, table: str, quantity: str = "score", **reading) -> dict[str, str]:
        """The figures of the first such row as printed, by task."""
        return by_task(self.lines(table, quantity, **reading)[0])

    def values(self, table: str, quantity: str = "score", **reading) -> dict[str, Decimal]:
        """The same as numbers."""
        return {task: value(task, text) for task, text in self.texts(table, quantity, **reading).items()}


Outcome = tuple[str, str]  # what was computed, and a verdict
CLAIMS: dict[str, Callable[..., Outcome]] = {}
NUMBERED: set[str] = set()  # claims that name a number; their functions get it


def claim(function: Callable[[Printed], Outcome]):
    """Register the check of the claim that has the function's name in claims.csv."""
    CLAIMS[function.__name__] = function
    return function


def numbered(function: Callable[[Printed, Decimal], Outcome]):
    """The same for a claim that names a number."""
    NUMBERED.add(function.__name__)
    return claim(function)


def _lora_against_dcft(model: str) -> tuple[int, int]:
    """Parameters of LoRA r=1 and of DCFT d=8 on all six matrices."""
    shape = counts.SHAPES[model]
    return (
        counts.lora(shape, TARGETS["all"], 1),
        counts.dcft(shape, TARGETS["all"], LARGEST_KERNEL, LARGEST_KERNEL),
    )


@numbered
def reduction(printed: Printed, claimed: Decimal) -> Outcome:
    pairs = {model: _lora_against_dcft(model) for model in counts.SHAPES}
    words = [f"{lora / dcft:.1f}x on {model} ({lora:,} against {dcft:,})" for model, (lora, dcft) in pairs.items()]
    return "; ".join(words), verdict(any(shorten(Fraction(*pair), 0) >= claimed for pair in pairs.values()))


@numbered
def share(printed: Printed, claimed: Decimal) -> Outcome:
    lora, dcft = _lora_against_dcft("deberta-v3-base")
    base = {"model": "deberta-v3-base"}
    row = printed.lines("table1", **base, method="dcft", kernel=LARGEST_KERNEL)[0].iloc[0]
    shown, other = row["params"], printed.lines("table1", **base, method="lora")[0].iloc[0]["params"]
    mixed = 100 * size(shown)[0] / size(other)[0]
    words = f"{100 * dcft / lora:.1f} %; {shown} / {other} is {mixed:.1f} %, but counts in 2^20 against 10^6"
    return words, verdict(shorten(Fraction(100 * dcft, lora), 0) == claimed)


@numbered
def rank_one(printed: Printed, claimed: Decimal) -> Outcome:
    words, good = [], True
    for table in ("table1", "table2"):
        for line in printed.lines(table, method="lora"):
            row, shape = line.iloc[0], counts.SHAPES[line.iloc[0]["model"]]
            by_set = {name: counts.lora(shape, TARGETS[name], int(claimed)) for name in ("qv", "all")}
            fits = any(ways(count, row["params"]) for count in by_set.values())
            good &= fits
            if not fits:
                words.append(
                    f"{row['params']} on {row['model']} is r={row['rank']}; r=1 would be {by_set['qv']:,} on Q,V and "
                    f"{by_set['all']:,} on all six"
                )
    return "; ".join(words) or "every LoRA row has the size of r=1", verdict(good)


@claim
def baselines(printed: Printed) -> Outcome:
    missing = [title for method, title in METHODS.items() if method not in set(printed.cells["method"])]
    return f"without a row in Tables 1 to 6: {join(missing) or 'none'}", verdict(not missing)


@claim
def optimal_values(printed: Printed) -> Outcome:
    scores = single_runs.testable(printed.cells[printed.cells["table"] == "table1"])
    off = scores[~scores["on_grid"]]
    words = [f"{row_name(row.iloc[0])} {', '.join(row['heading'])}" for _, row in off.groupby("line", sort=False)]
    return (
        f"{len(off)} of {len(scores)} scores are no k/N, so no single run on the dev set has them: {'; '.join(words)}",
        verdict(off.empty),
    )


@claim
def accuracy(printed: Printed) -> Outcome:
    words = []
    for line in printed.lines("table1", model="deberta-v3-base"):
        row, text = line.iloc[0], by_task(line)["qqp"]
        for _, source in printed.others.iterrows():
            same_method = source["model"] == row["model"] and source["method"] == row["method"]
            if same_method and len(numbers(source["QQP"] or "0")) == 2 and sources.same("qqp", text, source["QQP"]):
                words.append(f"QQP {text} of {row_name(row)} is the mean of accuracy and F1 ({source['QQP']})")
    return "; ".join(words) or "no figure of another paper says otherwise", verdict(not words)


@claim
def most_tasks(printed: Printed) -> Outcome:
    lines = printed.lines("table1", model="deberta-v3-base")
    ours = [by_task(line) for line in lines if line.iloc[0]["method"] == "dcft"]
    others = [by_task(line) for line in lines if line.iloc[0]["method"] != "dcft"]
    best = [t for t in ours[0] if max(value(t, r[t]) for r in ours) > max(value(t, r[t]) for r in others)]
    return f"the best DCFT row leads in {len(best)} of {len(ours[0])} tasks", verdict(2 * len(best) > len(ours[0]))


def _lead(ours: Decimal, theirs: Decimal, claimed: Decimal) -> Outcome:
    return f"{ours} - {theirs} = {ours - theirs}", verdict(ours - theirs == claimed)


@numbered
def rte_lead(printed: Printed, claimed: Decimal) -> Outcome:
    base = {"model": "deberta-v3-base"}
    ours = printed.values("table1", **base, method="dcft", kernel=LARGEST_KERNEL)["rte"]
    return _lead(ours, printed.values("table1", **base, method="sora")["rte"], claimed)


@numbered
def cola_lead_roberta(printed: Printed, claimed: Decimal) -> Outcome:
    large = {"model": "roberta-large"}
    ours = printed.values("table1", **large, method="dcft", kernel=2)["cola"]  # "using only 0.21M"
    return _lead(ours, printed.values("table1", **large, method="lora")["cola"], claimed)


@numbered
def cola_lead_xxl(printed: Printed, claimed: Decimal) -> Outcome:
    ours = printed.values("table2", method="dcft")["cola"]
    return _lead(ours, printed.values("table2", method="lora")["cola"], claimed)


@claim
def squad_best(printed: Printed) -> Outcome:
    ours = printed.texts("table3", method="dcft")
    words = []
    for line in printed.lines("table3"):
        for task, text in by_task(line).items():
            if any(theirs > mine for theirs, mine in zip(numbers(text), numbers(ours[task]), strict=True)):
                words.append(f"{row_name(line.iloc[0])} has {text} on {sources.HEADINGS[task]}, DCFT {ours[task]}")
    return "; ".join(words) or "DCFT's figures are the highest", verdict(not words)


@numbered
def squad_half(printed: Printed, claimed: Decimal) -> Outcome:
    ours = adapter_count(printed.lines("table3", method="dcft")[0].iloc[0])
    theirs = adapter_count(printed.lines("table3", method="lora")[0].iloc[0])
    return f"{ours:,} / {theirs:,} = {ours / theirs:.2f}", verdict(shorten(Fraction(ours, theirs), 1) == claimed)


def _squad_lead(printed: Printed, claimed: Decimal, which: int) -> Outcome:
    ours = numbers(printed.texts("table3", method="dcft")["squad_v2"])[which]
    row = printed.lines("table3", method="lora")[0]
    theirs = numbers(by_task(row)["squad_v2"])[which]
    words, good = f"{ours} - {theirs} = {ours - theirs}", ours - theirs == claimed
    for _, source in printed.others.iterrows():
        same_row = source["method"] == "lora" and sources.same_size(source["params"], row.iloc[0]["params"])
        if same_row and source["SQuADv2.0"]:
            right = numbers(source["SQuADv2.0"])[which]
            words += f"; over LoRA's {source['params']} in {source['paper']}: {ours} - {right} = {ours - right}"
            good &= ours - right == claimed
    return words, verdict(good)


@numbered
def squad_lead_em(printed: Printed, claimed: Decimal) -> Outcome:
    return _squad_lead(printed, claimed, 0)


@numbered
def squad_lead_f1(printed: Printed, claimed: Decimal) -> Outcome:
    return _squad_lead(printed, claimed, 1)


def _kernels(printed: Printed, quantity: str) -> dict[int, dict[str, str]]:
    """Table 4's figures by kernel size."""
    lines = printed.lines("table4", quantity, method="dcft")
    return {int(line.iloc[0]["kernel"]): by_task(line) for line in lines}


@numbered
def d8_fastest(printed: Printed, claimed: Decimal) -> Outcome:
    times = _kernels(printed, "time")
    tasks = list(times[int(claimed)])
    fastest = [t for t in tasks if value(t, times[int(claimed)][t]) == min(value(t, row[t]) for row in times.values())]
    return f"shortest time in {len(fastest)} of {len(tasks)} tasks", verdict(len(fastest) == len(tasks))


def _average_rank(printed: Printed, kernel: int) -> int:
    """The place of a kernel size by the recomputed average of Table 4."""
    means = {d: mean(texts) for d, texts in _kernels(printed, "score").items()}
    return sorted(means, key=means.get, reverse=True).index(kernel) + 1


@numbered
def d8_second(printed: Printed, claimed: Decimal) -> Outcome:
    place = _average_rank(printed, int(claimed))
    return f"place {place} by average", verdict(place == 2)


@numbered
def d2_best(printed: Printed, claimed: Decimal) -> Outcome:
    place = _average_rank(printed, int(claimed))
    return f"place {place} by average", verdict(place == 1)


def _steps(printed: Printed, quantity: str) -> dict[int, dict[str, Decimal]]:
    """Table 5's figures by stride."""
    lines = printed.lines("table5", quantity)
    return {int(row.iloc[0]["stride"]): {t: value(t, x) for t, x in by_task(row).items()} for row in lines}


@numbered
def step_best(printed: Printed, claimed: Decimal) -> Outcome:
    scores, times, step = _steps(printed, "score"), _steps(printed, "time"), int(claimed)
    best = [t for t in scores[step] if scores[step][t] == max(row[t] for row in scores.values())]
    fastest = [t for t in times[step] if times[step][t] == min(row[t] for row in times.values())]
    words = f"best or equally good in {len(best)}, shortest in {len(fastest)} of {len(scores[step])} tasks"
    return words, verdict(len(best) == len(fastest) == len(scores[step]))


@claim
def step_order(printed: Printed) -> Outcome:
    times = _steps(printed, "time")
    steps = sorted(times, reverse=True)
    words = [
        f"{sources.HEADINGS[task]}: {times[large][task]}h at {large}, {times[small][task]}h at {small}"
        for task in times[steps[0]]
        for large, small in zip(steps, steps[1:], strict=False)
        if times[small][task] <= times[large][task]
    ]
    return "; ".join(words) or "in every task", verdict(not words)


@numbered
def step_second(printed: Printed, claimed: Decimal) -> Outcome:
    scores = _steps(printed, "score")
    means = {step: sum(row.values()) / len(row) for step, row in scores.items()}
    place = sorted(means, key=means.get, reverse=True).index(int(claimed)) + 1
    return f"place {place} by the mean of the tasks", verdict(place == 2)


@numbered
def step_three_times(printed: Printed, claimed: Decimal) -> Outcome:
    times = _steps(printed, "time")
    one, eight = times[1], times[8]
    ratios = ", ".join(f"{sources.HEADINGS[task]} {one[task] / eight[task]:.1f}" for task in one)
    total = sum(one.values()) / sum(eight.values())
    return f"{ratios}; all tasks together {total:.1f}", verdict(round(total) == claimed)


@numbered
def step_six(printed: Printed, claimed: Decimal) -> Outcome:
    steps, step = list(_steps(printed, "score")), int(claimed)
    hidden = counts.SHAPES["deberta-v3-base"].hidden
    covers = fits(hidden, LARGEST_KERNEL, step)
    words = f"the table has the steps {join([str(s) for s in steps])}; step {step} " + (
        "would fit" if covers else f"does not even fit: ({hidden} - {LARGEST_KERNEL}) is no multiple of {step}"
    )
    return words, verdict(step in steps)


@numbered
def qnli_faster(printed: Printed, claimed: Decimal) -> Outcome:
    ours = printed.texts("table4", "time", kernel=LARGEST_KERNEL)["qnli"]
    return f"no table has LoRA's time (DCFT: {ours} in Table 4); Figure 2 has no figures", UNTOLD


def _layers(printed: Printed) -> dict[str, dict[str, Decimal]]:
    """Table 6's scores by set of matrices."""
    lines = printed.lines("table6")
    return {row.iloc[0]["targets"]: {t: value(t, x) for t, x in by_task(row).items()} for row in lines}


@claim
def targets_all(printed: Printed) -> Outcome:
    scores = _layers(printed)
    best = [t for t in scores["all"] if scores["all"][t] == max(row[t] for row in scores.values())]
    return f"best in {len(best)} of {len(scores['all'])} tasks", verdict(len(best) == len(scores["all"]))


@claim
def targets_qkvo(printed: Printed) -> Outcome:
    scores = _layers(printed)
    ours, every = scores["qkvo"]["stsb"], scores["all"]["stsb"]
    return f"Q,K,V,O has {ours}, all matrices {every}", verdict(ours == max(row["stsb"] for row in scores.values()))
