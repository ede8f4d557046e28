"""The parts of the results page that are no claims: scores, updates, learning rates, runs."""

from collections import Counter
from collections.abc import Iterable
from statistics import fmean

from dcft.results.outcomes import Outcomes
from dcft.results.record import Record
from dcft.results.sweeps import Sweep
from dcft.results.updates import Updates
from dcft.views.claims.questions import SUBSTITUTE
from dcft.views.claims.steps import machine
from dcft.views.tables import ours
from dcft.views.tables.markdown import body, escape
from dcft.views.tables.notes import collect, missing

UPDATES = """\
Parameters are those that are trained, without the head. The stable rank of a learned update is its squared Frobenius
norm over its squared spectral norm. Its checkerboard is the power of its Fourier transform at multiples of the
frequency 1/stride (with stride 1: 1/kernel) over the power elsewhere. Both are medians over the matrices of a run,
then means over runs, then over tasks. *Random* is the checkerboard of updates whose A, B and C are independent normal
numbers. Rows that share runs on each task are one line, named as in the first of their tables. Records of older
versions have no updates."""
LEARNED = ("stable_rank", "checkerboard", "checkerboard_drawn")  # of dcft.results.updates.Updates
RATES = """\
The best score on dev of each trial ({seeds}); bold: the best trial of a row and task. The tables above use it and
report on the same dev set, which flatters the score. A row is blank until all of its trials are recorded. Rows that
are not here are not tuned: other kernel sizes, other matrices and ablations have the rates of DCFT (d=8). RTE is not
tuned: its rates are those of CoLA and MRPC."""


def scores(known: Iterable[Outcomes]) -> list[str]:
    """The table of each sweep without trials that has a record."""
    parts = []
    for outcomes in known:
        if outcomes.done and not outcomes.tuning:
            caption = escape(collect(outcomes).caption(outcomes.sweep.caption))
            notes = f"Notes: `results/tables/{outcomes.sweep.name}.ours.md`."
            parts += [f"{caption}. {notes}", body(ours.ours(outcomes, {})), *map(escape, missing(outcomes))]
    return parts


def updates(known: Iterable[Outcomes]) -> str:
    """Sizes of each row's updates, and what DCFT's have learned in the runs of all tables that have the row."""
    sizes: dict[str, tuple[int, int | None]] = {}
    learned: dict[str, dict[str, dict[str, Updates]]] = {}  # by row, task and cell, since tables share cells
    owners: dict[str, str] = {}  # the row of each cell
    for outcomes in known:
        titles = {column.task: column.title for column in outcomes.sweep.columns}
        for number, row in enumerate(outcomes.sweep.rows):
            if size := outcomes.adapter_size(number):
                records = [record for (place, *_), record in outcomes.records.items() if place == number]
                shared = {one.task: owners[one.cell] for one in records if one.cell in owners}
                title = next(iter(shared.values())) if shared.keys() == {one.task for one in records} else row.title
                owners = {one.cell: title for one in records} | owners
                sizes[title] = size[0], row.knobs.get("kernel", row.knobs.get("rank"))
                tasks = learned.setdefault(title, {})
                for one in records:
                    if one.updates:
                        tasks.setdefault(titles[one.task], {})[one.cell] = one.updates
    return table(
        ["Row", "Parameters", "Rank at most", "Stable rank", "Checkerboard", "Random", "Runs"],
        [
            [
                title,
                f"{size:,}",
                "" if rank is None else str(rank),
                *(_mean(learned[title], name) for name in LEARNED),
                ", ".join(f"{len(cells)} {task}" for task, cells in learned[title].items()),
            ]
            for title, (size, rank) in sorted(sizes.items(), key=lambda line: line[1][0])
        ],
    )


def _mean(tasks: dict[str, dict[str, Updates]], name: str) -> str:
    """The mean over tasks of the mean over runs; blank where a value is missing."""
    by_task = [[getattr(one, name) for one in cells.values()] for cells in tasks.values()]
    if not by_task or any(None in values for values in by_task):
        return ""
    return f"{fmean(map(fmean, by_task)):.2f}"


def trials(outcomes: Outcomes) -> list[str]:
    """The scores of a tuned table's trials; the chosen one is bold. A row that lacks a run is blank."""
    sweep, tuning = outcomes.sweep, outcomes.tuning
    trials = [" ".join(f"{key}={value}" for key, value in trial.items()) for trial in sweep.trials]
    lines, at_edge = [], []
    for number, row in enumerate(sweep.rows):
        for column in sweep.columns:
            place = (number, column.task)
            scores = [
                "" if score is None else f"{score:.2f}" for score in tuning.scores.get(place, [None] * len(trials))
            ]
            if any(scores) and (chosen := tuning.chosen(place)) is not None:
                scores[chosen] = f"**{scores[chosen]}**"
                if chosen in (0, len(trials) - 1):
                    at_edge.append(f"{row.title} on {column.title}")
            lines.append([row.title, column.title, *scores])
    seeds = f"seed{'s' * (len(sweep.seeds) > 1)} {', '.join(map(str, sweep.seeds))}"
    edge = (
        f"A better value may lie outside of the trials, where the best is the first or the last: {', '.join(at_edge)}."
    )
    return [RATES.format(seeds=seeds), *([escape(edge)] if at_edge else []), table(["Row", "Task", *trials], lines)]


def runs(sweeps: dict[str, Sweep], known: dict[str, Outcomes], model: str) -> list[str]:
    """How many runs are recorded, on which machines, and the commands that run the others."""
    lines: list[list[str]] = []
    done: dict[str, Record] = {}
    for name, sweep in sweeps.items():
        cells = sweep.unique()
        ended = {cell: one for cell, one in sweep.by_name(known[name].results)[0].items() if one.done}
        done |= ended
        words = [f"table={name}"]
        words += [f"model={model}"] if model != SUBSTITUTE and f"model={model}" not in sweep.overrides else []
        words += ["seeds=" + ",".join(map(str, sweep.seeds))] if "-seeds" in sweep.name else []
        command = " ".join(["python run.py", *words, *sweep.overrides, "data.root=PATH"])
        lines.append([sweep.name, f"{len(ended)} of {len(cells)}", f"`{command}`"])
    machines = Counter(f"{machine(one.hardware)} of {one.hardware['cores']} cores" for one in done.values())
    counts = "; ".join(f"{name}: {count}" for name, count in sorted(machines.items()))
    return [
        f"{len(done)} runs are recorded; tables share runs.{' Runs by processor: ' * bool(counts)}{counts}.",
        table(["Plan", "Runs", "Command"], lines),
    ]


def table(heading: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; cells with code or bold are Markdown already."""
    rows = [
        heading,
        ["---"] * len(heading),
        *([escape(cell) if "**" not in cell and "`" not in cell else cell for cell in line] for line in lines),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
