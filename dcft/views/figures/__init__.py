"""The figures: functions of a sweep, its records and the paper's printed numbers.

A figure is drawn where there is something to show: Figures 2 and 3 from records alone, the others from records beside
the paper's numbers, and (named `FIGURE.paper`) from the paper's numbers alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure
import pandas as pd

from dcft.paper import printed
from dcft.results import atomic
from dcft.results.costs import COSTS
from dcft.results.sweeps import Sweep
from dcft.views.figures import checkerboard, knobs, runs, style, tuning
from dcft.views.figures.evidence import Evidence, OurNumbers, PaperNumbers, printed_sweep
from dcft.views.figures.notes import note, tags

KINDS: dict[str, tuple[Callable[[Evidence], matplotlib.figure.Figure | None], str]] = {
    "figure2": (runs.figure2, "Training time of DCFT and LoRA"),
    "figure3": (runs.figure3, "Score and loss of DCFT and LoRA"),
    "kernel": (knobs.kernel, "DCFT: kernel size against score and training time"),
    "stride": (knobs.stride, "DCFT: stride against score and training time"),
    "pareto": (knobs.pareto, "Score against trained parameters"),
    "tuning": (tuning.tuning, "Best score against the number of trials"),
    "checkerboard": (checkerboard.checkerboard, "DCFT: checkerboards in the learned updates"),
}
PAPER = {"kernel": "table4", "stride": "table5", "pareto": "table1"}  # the table that is drawn without any run
AXES = ("params", "bytes", "flops", "seconds", "memory")  # costs that "pareto" may draw scores against
FORMATS = ("pdf", "png")


@dataclass
class Picture:
    """A figure with its name (of its files), its title and the note at its foot."""

    name: str
    title: str
    note: str
    figure: matplotlib.figure.Figure

    def render(self, kind: str) -> bytes:
        """Its bytes as "pdf", "png" or "svg": the same for the same records."""
        return style.render(self.figure, kind)


def of_sweep(sweep: Sweep, results: Path, cells: pd.DataFrame, cost: str = "params") -> list[Picture]:
    """Every figure that the finished records of a sweep give; none without a record.

    Args:
        sweep: the planned table.
        results: the results folder, with the records in `runs`.
        cells: the paper's numbers (`dcft.paper.printed.cells`).
        cost: a key of `AXES`: what the figure `pareto` draws scores against.

    Raises:
        UserError: if a record cannot be read.
    """
    evidence = Evidence(sweep, OurNumbers(sweep, results), PaperNumbers(sweep, cells), cost)
    return list(_draw(KINDS, evidence, sweep.name)) if evidence.own.done else []


def of_paper(cells: pd.DataFrame) -> list[Picture]:
    """The figures of the paper's numbers alone."""
    pictures = []
    for kind, table in PAPER.items():
        sweep = printed_sweep(cells, table)
        pictures += _draw([kind], Evidence(sweep, OurNumbers(sweep, Path()), PaperNumbers(sweep, cells)), "paper")
    return pictures


def _draw(kinds, evidence: Evidence, name: str) -> Iterator[Picture]:
    for kind in kinds:
        draw, title = KINDS[kind]
        with style.style():
            figure = draw(evidence)
            if figure:
                file = kind
                if kind == "pareto" and evidence.cost != "params":
                    title, file = f"Score against {COSTS[evidence.cost].title.lower()}", f"pareto-{evidence.cost}"
                title = (
                    f"{title} ({evidence.sweep.caption if evidence.only_printed else 'sweep ' + evidence.sweep.name})"
                )
                foot = note(evidence, kind)
                style.annotate(figure, title, tags(evidence), foot)
                style.settle(figure)
                yield Picture(f"{file}.{name}", "; ".join([title, *tags(evidence)]), foot, figure)


def write(pictures: list[Picture], results: Path) -> list[Path]:
    """Write `results/figures/NAME.pdf` and `NAME.png`; returns the paths."""
    paths = []
    for picture in pictures:
        for kind in FORMATS:
            paths.append(results / "figures" / f"{picture.name}.{kind}")
            atomic.write(paths[-1], picture.render(kind))
    return paths


def paper_cells() -> pd.DataFrame:
    """The paper's numbers, cell by cell.

    Raises:
        UserError: if a file of results/paper is missing or malformed.
    """
    return printed.cells(printed.read())
