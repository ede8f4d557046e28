"""What `python run.py table=NAME` does: plan, check, run what is missing, print the table, say what has no result."""

import os
from collections import Counter
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dcft.errors import UserError, printable
from dcft.results.records import TO_RUN, Status
from dcft.results.sweeps import Cell, Store, Sweep
from dcft.sweep import launch, memory, plan, preflight, signals
from dcft.sweep.estimate import Estimator, duration
from dcft.sweep.request import Request


def run_table(request: Request, launcher: launch.Launch, retry: bool) -> None:
    """Run a table, or only print its plan.

    Args:
        request: the command line.
        launcher: a Hydra launcher's `launch`, given the overrides of each job.
        retry: see `launch.run_cells`.

    Raises:
        UserError: if no cell can be run, or torchrun started this.
        SystemExit: with status 1 if a chosen cell has no result in the end.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # torchrun's number of processes
        raise UserError(f"table={request.table['name']}: torchrun starts one cell; leave it out, or name the cell")
    sweep = plan.load_plan(request)
    store = Store(request.place("results.dir"), request.place("outputs.dir"))
    chosen = [cell for cell in sweep.cells if request.selects(cell, sweep.rows[cell.row])]
    chosen = list({cell.name or cell.command: cell for cell in chosen}.values())  # rows may share a cell
    if not chosen:
        raise UserError("only= and methods= leave no cell of this table; leave one of them out")
    problems = {cell.command: cell.problem for cell in chosen if cell.problem}
    todo = [cell for cell in chosen if cell.name and store.status(cell) in TO_RUN]
    problems |= preflight.check_starts(todo)
    if request.dry:
        _show_plan(sweep, chosen, problems, store, Estimator(store.results))
        return
    problems |= preflight.check(todo)
    _show_problems(problems)
    if len(problems) == len(chosen):
        raise UserError(f"nothing to run: {next(iter(problems.values()))}")
    print(_headline(sweep, chosen, problems, store, Estimator(store.results)), flush=True)
    if warning := memory.warning(todo):
        print(warning, flush=True)
    runnable = [cell for cell in chosen if cell.command not in problems]
    with signals.passed_on(runnable, store):
        reasons = launch.run_cells(runnable, launcher, store, retry)
    _report(sweep, chosen, problems, reasons, store)


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _show_problems(problems: dict[str, str]) -> None:
    for reason, count in Counter(problems.values()).items():
        print(printable(f"cannot run {_cells(count)}: {reason}"), flush=True)


def _headline(sweep: Sweep, chosen: list[Cell], problems: dict[str, str], store: Store, estimator: Estimator) -> str:
    """One line: how many cells are done and to run, and what running them costs."""
    statuses = {cell.command: store.status(cell) for cell in chosen if cell.command not in problems}
    counts = Counter(statuses.values())
    todo = [cell for cell in chosen if statuses.get(cell.command) in TO_RUN]
    begun = [status for status in (Status.INTERRUPTED, Status.FAILED) if counts[status]]
    again = "".join(f", {counts[status]} of them {status}" for status in begun)
    parts = [f"{len(chosen)} cells", f"{counts[Status.DONE]} done", f"{len(todo)} to run{again}"]
    parts += [f"{counts[Status.RUNNING]} running elsewhere"] if counts[Status.RUNNING] else []
    parts += [f"{len(problems)} cannot run"] if problems else []
    line = f"table {sweep.name}: {', '.join(parts)}"
    return f"{line}; estimate: {''.join(_cost(sweep, todo, estimator))}" if todo else line


def _cost(sweep: Sweep, cells: list[Cell], estimator: Estimator) -> tuple[str, str]:
    """Hours of running cells one after the other, as far as they can be told, and what tells them."""
    estimates = [estimator.estimate(cell, sweep.rows[cell.row]) for cell in cells]
    known = [estimate for estimate in estimates if estimate]
    if not known:
        return "unknown", ", no run of these backbones is recorded"
    unknown, guesses = len(estimates) - len(known), sum(estimate.guess for estimate in known)
    cost = f"about {duration(sum(estimate.seconds for estimate in known))}"
    cost += f" and {_cells(unknown)} of unknown cost" if unknown else ""
    part = "" if guesses == len(known) else "in part "
    guess = f" ({part}a guess from FLOPs and this machine's matrix rate)" if guesses else ""
    return cost, ", one after the other" * (len(cells) > 1) + guess


def _show_plan(sweep: Sweep, chosen: list[Cell], problems: dict[str, str], store: Store, estimator: Estimator) -> None:
    headings = ["done", "to run", "failed before", "running", "cannot run"]
    lines = []
    for index, row in enumerate(sweep.rows):
        cells = [cell for cell in chosen if cell.row == index]
        runnable = {cell.command: store.status(cell) for cell in cells if cell.command not in problems}
        statuses = Counter(runnable.values())
        todo = [cell for cell in cells if runnable.get(cell.command) in TO_RUN]
        done, failed, running = (statuses[status] for status in (Status.DONE, Status.FAILED, Status.RUNNING))
        counts = [done, len(todo), failed, running, len(cells) - len(runnable)]
        cost = _cost(sweep, todo, estimator)[0] if todo else ""
        lines.append((f"{row.title}, {row.model_title}", counts, cost))
    shown = [i for i in range(len(headings)) if any(counts[i] for _, counts, _ in lines)]
    columns = [Column(headings[i], justify="right") for i in shown]
    grid = Table("row", *columns, Column("estimate", justify="right"), box=SIMPLE_HEAD)
    for title, counts, cost in lines:
        grid.add_row(Text(printable(title)), *(str(counts[i] or "") for i in shown), cost)
    print(printable(f"plan of {sweep.name}: {sweep.caption}"))
    Console(highlight=False).print(grid)
    _show_problems(problems)
    print(_headline(sweep, chosen, problems, store, estimator))
    todo = [cell for cell in chosen if cell.command not in problems and store.status(cell) in TO_RUN]
    for line in (*memory.lines(sweep, chosen), memory.warning(todo)):
        if line:
            print(printable(line))


def _report(sweep: Sweep, chosen: list[Cell], problems: dict[str, str], reasons: dict[str, str], store: Store) -> None:
    """The table, the count of each outcome, and the command of every cell without a result."""
    for path in _render(sweep, store.results):
        print(path)
    outcomes, missing = Counter(), {}
    for cell in chosen:
        outcome = "cannot run" if cell.command in problems else store.status(cell)
        outcomes[outcome] += 1
        if outcome != Status.DONE:
            known = (problems.get(cell.command), reasons.get(cell.name), store.error(cell))
            unknown = "it was not started" if outcome == Status.NEW else outcome
            missing[cell.command] = next(filter(None, known), unknown)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    for command, reason in missing.items():
        print(f"missing: {printable(command)}\n         {printable(reason)}")
    if missing:
        raise SystemExit(1)


def _render(sweep: Sweep, results: Path) -> list[Path]:
    """Print our results, and write every view that has something to say."""
    from dcft.views import tables  # loads pandas, which a plan does without

    paths = []
    for view in tables.views(sweep, results):
        grid = tables.build(sweep, results, view)
        if view == "ours":
            tables.show(grid)
        paths += tables.write(grid, results)
    return paths
