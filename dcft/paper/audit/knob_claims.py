"""Claims about DCFT's knobs: kernel size, stride and adapted matrices (Tables 4 to 6)."""

from decimal import Decimal

from dcft.paper import counts
from dcft.paper.audit.averages import by_task, mean
from dcft.paper.audit.baselines import HEADINGS
from dcft.paper.audit.claim_checks import Outcome, PrintedRows, claim, numbered
from dcft.paper.audit.findings import UNTOLD, join, verdict
from dcft.paper.audit.method_claims import LARGEST_KERNEL
from dcft.paper.printed import value
from dcft.sizes import fits


def _kernels(printed: PrintedRows, quantity: str) -> dict[int, dict[str, str]]:
    """Table 4's figures by kernel size."""
    lines = printed.lines("table4", quantity, method="dcft")
    return {int(line.iloc[0]["kernel"]): by_task(line) for line in lines}


@numbered
def d8_fastest(printed: PrintedRows, claimed: Decimal) -> Outcome:
    times = _kernels(printed, "time")
    tasks = list(times[int(claimed)])
    fastest = [t for t in tasks if value(t, times[int(claimed)][t]) == min(value(t, row[t]) for row in times.values())]
    return f"shortest time in {len(fastest)} of {len(tasks)} tasks", verdict(len(fastest) == len(tasks))


def _average_rank(printed: PrintedRows, kernel: int) -> int:
    """The place of a kernel size by the recomputed average of Table 4."""
    means = {d: mean(texts) for d, texts in _kernels(printed, "score").items()}
    return sorted(means, key=means.get, reverse=True).index(kernel) + 1


@numbered
def d8_second(printed: PrintedRows, claimed: Decimal) -> Outcome:
    place = _average_rank(printed, int(claimed))
    return f"place {place} by average", verdict(place == 2)


@numbered
def d2_best(printed: PrintedRows, claimed: Decimal) -> Outcome:
    place = _average_rank(printed, int(claimed))
    return f"place {place} by average", verdict(place == 1)


def _steps(printed: PrintedRows, quantity: str) -> dict[int, dict[str, Decimal]]:
    """Table 5's figures by stride."""
    lines = printed.lines("table5", quantity)
    return {int(row.iloc[0]["stride"]): {t: value(t, x) for t, x in by_task(row).items()} for row in lines}


@numbered
def step_best(printed: PrintedRows, claimed: Decimal) -> Outcome:
    scores, times, step = _steps(printed, "score"), _steps(printed, "time"), int(claimed)
    best = [t for t in scores[step] if scores[step][t] == max(row[t] for row in scores.values())]
    fastest = [t for t in times[step] if times[step][t] == min(row[t] for row in times.values())]
    words = f"best or equally good in {len(best)}, shortest in {len(fastest)} of {len(scores[step])} tasks"
    return words, verdict(len(best) == len(fastest) == len(scores[step]))


@claim
def step_order(printed: PrintedRows) -> Outcome:
    times = _steps(printed, "time")
    steps = sorted(times, reverse=True)
    words = [
        f"{HEADINGS[task]}: {times[large][task]}h at {large}, {times[small][task]}h at {small}"
        for task in times[steps[0]]
        for large, small in zip(steps, steps[1:], strict=False)
        if times[small][task] <= times[large][task]
    ]
    return "; ".join(words) or "in every task", verdict(not words)


@numbered
def step_second(printed: PrintedRows, claimed: Decimal) -> Outcome:
    scores = _steps(printed, "score")
    means = {step: sum(row.values()) / len(row) for step, row in scores.items()}
    place = sorted(means, key=means.get, reverse=True).index(int(claimed)) + 1
    return f"place {place} by the mean of the tasks", verdict(place == 2)


@numbered
def step_three_times(printed: PrintedRows, claimed: Decimal) -> Outcome:
    times = _steps(printed, "time")
    slow, fast = times[1], times[8]
    ratios = ", ".join(f"{HEADINGS[task]} {slow[task] / fast[task]:.1f}" for task in slow)
    total = sum(slow.values()) / sum(fast.values())
    return f"{ratios}; all tasks together {total:.1f}", verdict(round(total) == claimed)


@numbered
def step_six(printed: PrintedRows, claimed: Decimal) -> Outcome:
    steps, step = list(_steps(printed, "score")), int(claimed)
    hidden = counts.SHAPES["deberta-v3-base"].hidden
    covers = fits(hidden, LARGEST_KERNEL, step)
    words = f"the table has the steps {join([str(s) for s in steps])}; step {step} " + (
        "would fit" if covers else f"does not even fit: ({hidden} - {LARGEST_KERNEL}) is no multiple of {step}"
    )
    return words, verdict(step in steps)


@numbered
def qnli_faster(printed: PrintedRows, claimed: Decimal) -> Outcome:
    ours = printed.texts("table4", "time", kernel=LARGEST_KERNEL)["qnli"]
    return f"no table has LoRA's time (DCFT: {ours} in Table 4); Figure 2 has no figures", UNTOLD


def _layers(printed: PrintedRows) -> dict[str, dict[str, Decimal]]:
    """Table 6's scores by set of matrices."""
    lines = printed.lines("table6")
    return {row.iloc[0]["targets"]: {t: value(t, x) for t, x in by_task(row).items()} for row in lines}


@claim
def targets_all(printed: PrintedRows) -> Outcome:
    scores = _layers(printed)
    best = [t for t in scores["all"] if scores["all"][t] == max(row[t] for row in scores.values())]
    return f"best in {len(best)} of {len(scores['all'])} tasks", verdict(len(best) == len(scores["all"]))


@claim
def targets_qkvo(printed: PrintedRows) -> Outcome:
    scores = _layers(printed)
    ours, every = scores["qkvo"]["stsb"], scores["all"]["stsb"]
    return f"Q,K,V,O has {ours}, all matrices {every}", verdict(ours == max(row["stsb"] for row in scores.values()))
