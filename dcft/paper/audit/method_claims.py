"""Claims about DCFT against other methods: sizes, scores, baselines (Tables 1 to 3)."""

from decimal import Decimal
from fractions import Fraction

from dcft.config.schema import TARGETS
from dcft.paper import counts
from dcft.paper.audit import single_runs
from dcft.paper.audit.averages import by_task
from dcft.paper.audit.baselines import HEADINGS, same, same_size
from dcft.paper.audit.claim_checks import Outcome, PrintedRows, claim, numbered
from dcft.paper.audit.findings import join, row_name, verdict
from dcft.paper.audit.sizes import adapter_count
from dcft.paper.audit.units import shorten, ways
from dcft.paper.printed import METHODS, numbers, size, value

LARGEST_KERNEL = 8  # "most efficient": the kernel of DCFT^Delta in Tables 1 and 2


def _lora_against_dcft(model: str) -> tuple[int, int]:
    """Parameters of LoRA r=1 and of DCFT d=8 on all six matrices."""
    shape = counts.SHAPES[model]
    return (
        counts.lora(shape, TARGETS["all"], 1),
        counts.dcft(shape, TARGETS["all"], LARGEST_KERNEL, LARGEST_KERNEL),
    )


@numbered
def reduction(printed: PrintedRows, claimed: Decimal) -> Outcome:
    pairs = {model: _lora_against_dcft(model) for model in counts.SHAPES}
    words = [f"{lora / dcft:.1f}x on {model} ({lora:,} against {dcft:,})" for model, (lora, dcft) in pairs.items()]
    return "; ".join(words), verdict(any(shorten(Fraction(*pair), 0) >= claimed for pair in pairs.values()))


@numbered
def share(printed: PrintedRows, claimed: Decimal) -> Outcome:
    lora, dcft = _lora_against_dcft("deberta-v3-base")
    base = {"model": "deberta-v3-base"}
    row = printed.lines("table1", **base, method="dcft", kernel=LARGEST_KERNEL)[0].iloc[0]
    shown, other = row["params"], printed.lines("table1", **base, method="lora")[0].iloc[0]["params"]
    mixed = 100 * size(shown)[0] / size(other)[0]
    words = f"{100 * dcft / lora:.1f} %; {shown} / {other} is {mixed:.1f} %, but counts in 2^20 against 10^6"
    return words, verdict(shorten(Fraction(100 * dcft, lora), 0) == claimed)


@numbered
def rank_one(printed: PrintedRows, claimed: Decimal) -> Outcome:
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
def baselines(printed: PrintedRows) -> Outcome:
    missing = [title for method, title in METHODS.items() if method not in set(printed.cells["method"])]
    return f"without a row in Tables 1 to 6: {join(missing) or 'none'}", verdict(not missing)


@claim
def optimal_values(printed: PrintedRows) -> Outcome:
    scores = single_runs.testable(printed.cells[printed.cells["table"] == "table1"])
    off = scores[~scores["on_grid"]]
    words = [f"{row_name(row.iloc[0])} {', '.join(row['heading'])}" for _, row in off.groupby("line", sort=False)]
    return (
        f"{len(off)} of {len(scores)} scores are no k/N, so no single run on the dev set has them: {'; '.join(words)}",
        verdict(off.empty),
    )


@claim
def accuracy(printed: PrintedRows) -> Outcome:
    words = []
    for line in printed.lines("table1", model="deberta-v3-base"):
        row, text = line.iloc[0], by_task(line)["qqp"]
        for _, source in printed.others.iterrows():
            same_method = source["model"] == row["model"] and source["method"] == row["method"]
            if same_method and len(numbers(source["QQP"] or "0")) == 2 and same("qqp", text, source["QQP"]):
                words.append(f"QQP {text} of {row_name(row)} is the mean of accuracy and F1 ({source['QQP']})")
    return "; ".join(words) or "no figure of another paper says otherwise", verdict(not words)


@claim
def most_tasks(printed: PrintedRows) -> Outcome:
    lines = printed.lines("table1", model="deberta-v3-base")
    ours = [by_task(line) for line in lines if line.iloc[0]["method"] == "dcft"]
    others = [by_task(line) for line in lines if line.iloc[0]["method"] != "dcft"]
    best = [t for t in ours[0] if max(value(t, r[t]) for r in ours) > max(value(t, r[t]) for r in others)]
    return f"the best DCFT row leads in {len(best)} of {len(ours[0])} tasks", verdict(2 * len(best) > len(ours[0]))


def _lead(ours: Decimal, theirs: Decimal, claimed: Decimal) -> Outcome:
    return f"{ours} - {theirs} = {ours - theirs}", verdict(ours - theirs == claimed)


@numbered
def rte_lead(printed: PrintedRows, claimed: Decimal) -> Outcome:
    base = {"model": "deberta-v3-base"}
    ours = printed.values("table1", **base, method="dcft", kernel=LARGEST_KERNEL)["rte"]
    return _lead(ours, printed.values("table1", **base, method="sora")["rte"], claimed)


@numbered
def cola_lead_roberta(printed: PrintedRows, claimed: Decimal) -> Outcome:
    large = {"model": "roberta-large"}
    ours = printed.values("table1", **large, method="dcft", kernel=2)["cola"]  # "using only 0.21M"
    return _lead(ours, printed.values("table1", **large, method="lora")["cola"], claimed)


@numbered
def cola_lead_xxl(printed: PrintedRows, claimed: Decimal) -> Outcome:
    ours = printed.values("table2", method="dcft")["cola"]
    return _lead(ours, printed.values("table2", method="lora")["cola"], claimed)


@claim
def squad_best(printed: PrintedRows) -> Outcome:
    ours = printed.texts("table3", method="dcft")
    words = []
    for line in printed.lines("table3"):
        for task, text in by_task(line).items():
            if any(theirs > mine for theirs, mine in zip(numbers(text), numbers(ours[task]), strict=True)):
                words.append(f"{row_name(line.iloc[0])} has {text} on {HEADINGS[task]}, DCFT {ours[task]}")
    return "; ".join(words) or "DCFT's figures are the highest", verdict(not words)


@numbered
def squad_half(printed: PrintedRows, claimed: Decimal) -> Outcome:
    ours = adapter_count(printed.lines("table3", method="dcft")[0].iloc[0])
    theirs = adapter_count(printed.lines("table3", method="lora")[0].iloc[0])
    return f"{ours:,} / {theirs:,} = {ours / theirs:.2f}", verdict(shorten(Fraction(ours, theirs), 1) == claimed)


def _squad_lead(printed: PrintedRows, claimed: Decimal, which: int) -> Outcome:
    ours = numbers(printed.texts("table3", method="dcft")["squad_v2"])[which]
    row = printed.lines("table3", method="lora")[0]
    theirs = numbers(by_task(row)["squad_v2"])[which]
    words, good = f"{ours} - {theirs} = {ours - theirs}", ours - theirs == claimed
    for _, source in printed.others.iterrows():
        same_row = source["method"] == "lora" and same_size(source["params"], row.iloc[0]["params"])
        if same_row and source["SQuADv2.0"]:
            right = numbers(source["SQuADv2.0"])[which]
            words += f"; over LoRA's {source['params']} in {source['paper']}: {ours} - {right} = {ours - right}"
            good &= ours - right == claimed
    return words, verdict(good)


@numbered
def squad_lead_em(printed: PrintedRows, claimed: Decimal) -> Outcome:
    return _squad_lead(printed, claimed, 0)


@numbered
def squad_lead_f1(printed: PrintedRows, claimed: Decimal) -> Outcome:
    return _squad_lead(printed, claimed, 1)
