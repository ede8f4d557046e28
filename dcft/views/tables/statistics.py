"""The statistics view: what is signal and what is noise, from the seeds of a sweep and from its dev items together."""

from dcft.results import significance, statistics
from dcft.results.items import Runs
from dcft.results.outcomes import Outcomes
from dcft.results.significance import Comparison, Sample
from dcft.views.tables import notes
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, decimal, plain
from dcft.views.tables.text import p_value

AVERAGE = "average"
AGAINST = "Minus the baseline"
COLUMNS = {
    "n": ["n"],
    "mean": ["Mean"],
    "median": ["Median"],
    "std": ["Std"],
    "items": ["Items"],
    "interval": ["95 % interval"],
    "median_interval": ["of the median"],
    "difference": [AGAINST, "Mean"],
    "difference_interval": [AGAINST, "95 % interval"],
    "wins": [AGAINST, "Wins"],
    "p": [AGAINST, "p"],
    "holm": [AGAINST, "p (Holm)"],
    "rank": ["Rank"],
    "best": ["Best"],
}
OF_SEEDS = ("median", "std", "median_interval")  # blank for a single seed


class Evidence:
    """Samples, comparisons and ranks of a sweep, by row and task; "average" is the mean over tasks.

    Args:
        outcomes: a sweep with its records.
        baseline: the row that others are compared with, by backbone.
    """

    def __init__(self, outcomes: Outcomes, baseline: dict[str, int]):
        self.runs: dict[tuple[int, str], Runs] = {}
        self.samples: dict[tuple[int, str], Sample] = {}
        self.comparisons: dict[tuple[int, str], Comparison] = {}
        self.ranks: dict[tuple[int, str], float] = {}
        self.best: dict[tuple[int, str], float] = {}
        tasks = [column.task for column in outcomes.sweep.columns]
        for task in tasks:
            self._sample(outcomes, task)
        if outcomes.sweep.average:
            for row in range(len(outcomes.sweep.rows)):
                if all((row, task) in self.samples for task in tasks):
                    self.samples[row, AVERAGE] = significance.average([self.samples[row, task] for task in tasks])
        for block, rows in outcomes.blocks().items():
            for task in [*tasks, AVERAGE]:
                self._compare([row for row, _ in rows if (row, task) in self.samples], task, baseline.get(block))
        ps = significance.holm([one.p for one in self.comparisons.values()])
        self.corrected = dict(zip(self.comparisons, ps, strict=True))

    def _sample(self, outcomes: Outcomes, task: str) -> None:
        found = {row: outcomes.runs(row, task) for row in range(len(outcomes.sweep.rows))}
        known = {row: runs for row, runs in found.items() if runs}
        if known:
            sizes = next(iter(known.values())).sizes
            known = {row: runs for row, runs in known.items() if runs.sizes == sizes}  # data.max_eval of a row alone
            samples = significance.sample(list(known.values()), task)
            self.samples |= {(row, task): one for row, one in zip(known, samples, strict=True)}
            self.runs |= {(row, task): runs for row, runs in known.items()}

    def _compare(self, rows: list[int], task: str, baseline: int | None) -> None:
        samples = [self.samples[row, task] for row in rows]
        runs = None if task == AVERAGE else [self.runs[row, task] for row in rows]
        if baseline in rows:
            at = rows.index(baseline)
            for i in range(len(rows)):
                if i != at:
                    pair = (runs[i], runs[at]) if runs else None
                    self.comparisons[rows[i], task] = significance.compare(samples[i], samples[at], pair)
        if len(rows) > 1:
            self.best |= {(row, task): p for row, p in zip(rows, significance.chance_of_best(samples), strict=True)}
            if runs:
                self.ranks |= {
                    (row, task): rank for row, rank in zip(rows, significance.ranks(samples, runs), strict=True)
                }
            else:
                others = {row: [rank for (one, _), rank in self.ranks.items() if one == row] for row in rows}
                self.ranks |= {(row, task): sum(ranks) / len(ranks) for row, ranks in others.items()}


def view(outcomes: Outcomes, baseline: dict[str, int]) -> Grid:
    """One line a row and task.

    Args:
        outcomes: a sweep with its records.
        baseline: the row that others are compared with, by backbone.
    """
    sweep = outcomes.sweep
    evidence = Evidence(outcomes, baseline)
    titles = {column.task: column.title for column in sweep.columns} | ({AVERAGE: "Avg."} if sweep.average else {})
    several = len(sweep.seeds) > 1
    shown = {
        key: title
        for key, title in COLUMNS.items()
        if (baseline or title[0] != AGAINST) and (several or key not in OF_SEEDS)
    }
    groups = []
    for block, rows in outcomes.blocks().items():
        groups.append(Group(block, []))
        for index, row in rows:
            lines = []
            for task, title in titles.items():
                first = not lines
                stubs = [block if first and not groups[-1].rows else "", row.title if first else "", title]
                values = _values(outcomes, evidence, index, task, baseline.get(block))
                cells = [values.get(key, Value()) for key in shown]
                lines.append(Line([plain(stub) for stub in stubs] + cells, "ours", "score", task))
            groups[-1].rows.append(Row(row.title, lines, row.method, row.model))
    about = notes.collect(outcomes)
    stubs = [Column(name.lower(), [name], stub=True) for name in ("Model", "Method", "Task")]
    return Grid(
        sweep.name,
        "statistics",
        about.caption(f"{sweep.caption}: statistics over seeds and dev items"),
        stubs + [Column(key, title) for key, title in shown.items()],
        groups,
        about.lines + notes.statistics(outcomes, baseline),
        outcomes.protocol,
    )


def _values(outcomes: Outcomes, evidence: Evidence, row: int, task: str, baseline: int | None) -> dict[str, Value]:
    """The cells of a line, by column; a missing one is blank."""
    series, place = outcomes.series(row, task), (row, task)
    n, paths = sum(score is not None for score in series), outcomes.record_paths(row, task)
    values = {"n": plain(str(n), n)}
    if summary := statistics.summary(series):
        values["mean"] = Value([Part(decimal(summary.mean), summary.mean, summary.std, "score")])
        if summary.std is not None:
            values["median"] = plain(decimal(summary.median), summary.median)
            values["std"] = plain(f"{summary.std:.2f}", summary.std)
    if sample := evidence.samples.get(place):
        error = significance.item_error(sample)
        values |= {"items": plain(f"{error:.2f}", error), "interval": _interval(significance.interval(sample))}
        if n > 1:
            values["median_interval"] = _interval(significance.median_interval(sample))
    if place in evidence.best:
        values["rank"] = plain(f"{evidence.ranks[place]:.2f}".removesuffix(".00"), evidence.ranks[place])
        values["best"] = plain(f"{evidence.best[place]:.2f}", evidence.best[place])
    for value in values.values():
        value.n, value.records = n, paths
    if baseline is not None and baseline != row:
        against = _against(outcomes, evidence, row, baseline, task)
        for value in against.values():
            value.n, value.records = n, paths + outcomes.record_paths(baseline, task)
        values |= against
    return values


def _against(outcomes: Outcomes, evidence: Evidence, row: int, baseline: int, task: str) -> dict[str, Value]:
    """The comparison with the baseline: without predictions the difference alone."""
    ours, theirs = outcomes.series(row, task), outcomes.series(baseline, task)
    if any(score is None for score in (*ours, *theirs)):
        return {}
    difference = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    values = {"difference": Value([Part(decimal(difference, "+"), difference, name="score")])}
    if found := evidence.comparisons.get((row, task)):
        corrected = evidence.corrected[row, task]
        values["difference_interval"] = _interval(found.interval, "+")
        values["wins"] = plain("" if found.wins is None else f"{found.wins:.2f}", found.wins)
        values |= {"p": plain(p_value(found.p), found.p), "holm": plain(p_value(corrected), corrected)}
    return values


def _interval(bounds: tuple[float, float], sign: str = "") -> Value:
    low, high = bounds
    return Value([Part(decimal(low, sign), low, name="low"), Part(decimal(high, sign), high, name="high")], " to ")
