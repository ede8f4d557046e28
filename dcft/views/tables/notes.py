"""Captions and notes of a sweep's tables: protocol, seeds, data, backbones, and which cells are blank."""

from collections.abc import Iterable
from dataclasses import dataclass

from dcft.paper import printed
from dcft.results import protocols
from dcft.results.items import RESAMPLES
from dcft.results.outcomes import Outcomes
from dcft.results.predictions import path_of
from dcft.results.record import Record
from dcft.results.significance import SWAPS
from dcft.views.tables import published, trials, values
from dcft.views.tables.text import few

LISTED = 5  # seeds that a caption lists
SOURCES = {"hub": "data from the Hub", "local": "local files", "toy": "toy data, generated"}


@dataclass
class Notes:
    """Labels and facts are for the caption, which every format shows. Lines are for the notes below the table."""

    labels: list[str]
    facts: list[str]
    lines: list[str]

    def caption(self, text: str) -> str:
        """A caption with labels before it and facts after it, so that nobody takes the table for the paper's."""
        return "".join(f"[{label}] " for label in self.labels) + f"{text} ({'; '.join(self.facts)})"


def collect(outcomes: Outcomes) -> Notes:
    """The notes that every table and figure of a sweep needs."""
    sweep, done = outcomes.sweep, outcomes.done
    toy = any(column.toy for column in sweep.columns)
    substitutes = _distinct(row.model_title for row in sweep.rows if row.substitute)
    labels = (["toy data"] if toy else []) + [f"substitute backbone {title}" for title in substitutes]
    seeds = _seeds(sweep.seeds)
    several = len(sweep.seeds) > 1
    facts = [protocols.PROTOCOLS[outcomes.protocol].phrase + ", in percent", *trials.facts(outcomes)]
    facts.append(f"seeds {seeds}: mean ± standard deviation" if several else f"seed {seeds}")
    facts += [SOURCES[source] for source in _distinct(record.data_source.source for record in done)]
    limits = _limits(done)
    facts += limits
    for title in _distinct(row.model_title for row in sweep.rows):
        facts.append(f"backbone {title}" + (", not one of the paper's" if title in substitutes else ""))
    if folders := _distinct(r.model for r in done if r.model_source.source == "local"):
        facts.append(f"weights of {', '.join(folders)} from a folder (model.path)")
    if sweep.overrides:
        facts.append(f"changed on the command line: {' '.join(sweep.overrides)}")
    if outcomes.bad:
        facts.append(f"{len(outcomes.bad)} record{'s' * (len(outcomes.bad) > 1)} left out")
    lines = [protocols.PROTOCOLS[outcomes.protocol].explanation]
    if several:
        lines.append(
            f"n = {len(sweep.seeds)} seeds in each cell; ± is the sample standard deviation (n − 1). A cell without "
            "all of its seeds is blank."
        )
    evaluations = sorted({len(record.history) for record in done})
    if len(evaluations) > 1:
        lines.append(
            f"Runs have {evaluations[0]} to {evaluations[-1]} evaluations; the best of more is higher by chance alone."
        )
    if toy:
        lines.append("Toy data are generated and easy: no benchmark, nothing to hold against the paper.")
    if substitutes:
        lines.append(
            f"Not backbones of the paper: {', '.join(substitutes)}. No number here reproduces one of the paper's."
        )
    return Notes(labels, facts, lines + trials.lines(outcomes) + missing(outcomes))


def _seeds(numbers: list[int]) -> str:
    """The numbers of seeds; those that follow each other as a range if they are many."""
    first, last = numbers[0], numbers[-1]
    follow = len(numbers) > LISTED and numbers == list(range(first, last + 1))
    return f"{first} to {last}" if follow else ", ".join(map(str, numbers))


def _limits(done: list[Record]) -> list[str]:
    """Limits on data or training."""
    limits = []
    if partial := _distinct(r.config["task"]["title"] for r in done if not r.data_source.complete):
        limits.append(f"a part of the data only: {', '.join(partial)}")
    for group, name, word in (
        ("data", "max_train", "rows"),
        ("data", "max_eval", "rows"),
        ("train", "max_steps", "steps"),
    ):
        for value in sorted({r.config[group][name] for r in done} - {None}):
            limits.append(f"{word} limited by {group}.{name}={value}")
    return limits


def missing(outcomes: Outcomes) -> list[str]:
    """Cells that are blank or doubtful, counted or named; one sentence a kind."""
    sweep, lines = outcomes.sweep, []
    records, total = outcomes.records, len(sweep.cells)
    failed = [place for place, record in records.items() if not record.done]
    collapsed = [place for place, record in records.items() if record.collapsed and record.done]
    for word, places in (("Failed, blank", failed), ("Collapsed to one answer", collapsed)):
        if places:
            lines.append(f"{word}: {len(places)} of {total} runs ({_names(outcomes, places)}).")
    problems: dict[str, list[tuple[int, str, int]]] = {}
    for cell in sweep.cells:
        if cell.problem:
            problems.setdefault(cell.problem, []).append((cell.row, cell.task, cell.seed))
    for problem, places in problems.items():
        lines.append(f"Cannot be run, blank: {problem} ({_names(outcomes, places)}).")
    lines += [f"Left out, blank: {bad}." for bad in outcomes.bad]
    bad = {one.path.as_posix() for one in outcomes.bad}
    planned = [(cell.row, cell.task, cell.seed) for cell in sweep.cells if cell.name and cell.record not in bad]
    if missing := len([place for place in planned if place not in records]):
        lines.append(f"No record, blank: {missing} of {total} runs.")
    undefined = [p for p, metrics in outcomes.metrics.items() if metrics is None and records[p].done]
    undefined += [p for p, metrics in outcomes.metrics.items() if metrics and metrics["score"] is None]
    if undefined:
        lines.append(f"Undefined by this protocol, blank: {_names(outcomes, undefined)}.")
    return lines


def figures(outcomes: Outcomes) -> list[str]:
    """Explanations of sizes, times and marks."""
    lines = ["#Params: parameters that the method trains, the task's head not counted."]
    for index, row in enumerate(outcomes.sweep.rows):
        sizes = [record.params for place, record in outcomes.records.items() if place[0] == index]
        kept = sorted(size.kept for size in sizes if size and size.kept is not None)
        if kept:
            lines.append(f"Pruning left {kept[0]:,} to {kept[-1]:,} of those of {row.title}, {row.model_title}.")
    if outcomes.sweep.times:
        unit = values.time_unit(outcomes)
        lines.append(
            f"Time: training without evaluations, in {unit.name} ({unit.symbol}), on whatever machine ran the cell."
        )
    return [*lines, f"{published.MARKS[True]}."]


def comparison(outcomes: Outcomes, averaged: bool) -> list[str]:
    """Explanations of published lines and differences; `averaged`: whether the published lines have an average."""
    rows = outcomes.sweep.rows
    lines = [
        f"Published: {printed.title(outcomes.sweep.table)}, figures as printed in the paper.",
        "Difference: ours − published.",
    ]
    if titles := _distinct(row.model_title for row in rows if row.substitute):
        lines.append(
            f"The difference compares two different models: {', '.join(titles)} is ours, the paper's row is another "
            "backbone's; it says nothing about a reproduction."
        )
    if any(len(column.metrics) > 1 and column.metrics == column.score for column in outcomes.sweep.columns):
        lines.append("Where the paper prints one figure for a pair, the difference is that of our pair's mean.")
    if outcomes.sweep.average and not averaged:
        lines.append("The published Avg. is left out: it is a mean over other tasks.")
    if outcomes.sweep.times:
        lines.append("Differences of times are in hours and between different machines.")
    if any(not row.paper for row in rows):
        lines.append("Rows without published figures are ours alone.")
    return lines


def distance(outcomes: Outcomes, baseline: dict[str, int]) -> list[str]:
    """Explanations of the lines that compare with a baseline."""
    names = _distinct(outcomes.sweep.rows[row].title for row in baseline.values())
    return [f"− {name}: our score minus that of {name} on the same backbone and seeds, the mean." for name in names]


def statistics(outcomes: Outcomes, baseline: dict[str, int]) -> list[str]:
    """How intervals, tests and ranks are computed, and which runs have no predictions for them."""
    single = len(outcomes.sweep.seeds) == 1
    lines = [
        "Scores: the mean of MNLI's pair, F1 for SQuAD. Items: the standard error of one run's score that comes from "
        f"the choice of the dev items (bootstrap, {RESAMPLES:,} selections). With every answer right it is 0, and says "
        "nothing."
    ]
    lines.append(
        "Intervals: from the dev items alone. They are those of these runs; another seed is not covered."
        if single
        else "Intervals: seeds and items together, Student's t. Of the median: two-level bootstrap, seeds and then "
        "items, too narrow for few seeds."
    )
    without = [r for r in outcomes.done if r.predictions is None or not path_of(outcomes.results, r).is_file()]
    if without:
        lines.append(
            f"No predictions: {len(without)} of {len(outcomes.done)} runs; their intervals, tests and ranks are blank. "
            "A run keeps predictions unless eval.keep_predictions=false."
        )
    lines.append(
        "Rank: 1, and 1 more for each row of the backbone that is significantly better (all pairs, Holm, 5 %), for "
        "Avg. the mean over tasks. Best: the share of two-level bootstrap selections in which the row leads."
    )
    if not baseline:
        return [*lines, "No baseline in this sweep: nothing is compared."]
    named = "; ".join(f"{outcomes.sweep.rows[row].title} on {block}" for block, row in baseline.items())
    test = (
        "two-sided, on the same items: McNemar's exact test for an accuracy, approximate randomisation "
        f"({SWAPS:,} exchanges) for other scores, t for Avg."
        if single
        else "two-sided t test on the same seeds and items."
    )
    return [
        *lines,
        f"Baseline: {named}; its own lines are blank. Wins: of the items on which the two differ, the share on which "
        "the row has the smaller error.",
        f"p: {test} p (Holm): corrected for all comparisons of this table.",
    ]


def _names(outcomes: Outcomes, places: list[tuple[int, str, int]]) -> str:
    """Runs in words, the first few of many."""
    return few([_name(outcomes, place) for place in places])


def _name(outcomes: Outcomes, place: tuple[int, str, int]) -> str:
    """A run in words."""
    row, task, seed = place
    titles = {column.task: column.title for column in outcomes.sweep.columns}
    sweep_row = outcomes.sweep.rows[row]
    return f"{sweep_row.title}, {sweep_row.model_title}, {titles[task]}, seed {seed}"


def _distinct(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
