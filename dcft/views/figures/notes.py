"""Titles and foot notes of figures, in the words of the tables."""

from dcft.paper.printed import title
from dcft.views.figures import checkerboard, tuning
from dcft.views.figures.evidence import Evidence
from dcft.views.tables import notes, text

AS_PRINTED = "as printed in the paper"
BESIDE = ("kernel", "stride", "pareto")  # figures that show the paper's numbers as well, and means over tasks


def tags(evidence: Evidence) -> list[str]:
    """Labels for the title: the paper's numbers alone, toy data, a substitute backbone."""
    return [AS_PRINTED] if evidence.only_printed else notes.collect(evidence.own.outcomes).labels


def note(evidence: Evidence, kind: str) -> str:
    """The text at the foot of a figure: backbones, data, seeds and protocol of our numbers; the paper's table."""
    sweep, parts = evidence.sweep, []
    if not evidence.only_printed:
        parts.append("Ours: " + "; ".join(notes.collect(evidence.own.outcomes).facts))
        places = len(sweep.rows) * len(sweep.columns) * len(sweep.seeds)  # one cell each, of a tuned sweep the chosen
        if len(evidence.own.done) < places:
            parts.append("What has no record is left out, and so is every mean over it")
        parts += [f"Left out: {bad}" for bad in evidence.own.outcomes.bad[: text.NAMED]]
        if (more := len(evidence.own.outcomes.bad) - text.NAMED) > 0:
            parts.append(f"Left out: {more} more records")
        if collapsed := sum(bool(record.collapsed) for record in evidence.own.done.values()):
            parts.append(f"Collapsed to one answer: {collapsed} of {places} runs")
    if kind == "figure3":
        bands = "; bands: lowest to highest seed" if len(sweep.seeds) > 1 else ""
        parts.append(f"Training loss includes a method's penalty (DCFT's orthogonality term); dev loss does not{bands}")
    if kind in BESIDE:
        titles = [evidence.title(task) for task in evidence.tasks]
        parts.append(f"Means over {', '.join(titles)}")
        if any(row.paper for row in sweep.rows) and (kind != "pareto" or evidence.cost == "params"):
            parts.append(f"Paper: {title(sweep.table)}, means computed from the printed figures")
    if kind == "tuning":
        bands = ". Bands: from its 5 % to its 95 % quantile" if len(sweep.rows) <= tuning.BANDS else ""
        parts.append(
            "A trial's score is its mean over seeds. Lines: the expected best of n of the trials, drawn without "
            f"replacement (after Dodge et al., 2019), exactly{bands}. Empty marks: the default recipe, where the "
            "trials have it"
        )
    if kind == "pareto" and evidence.cost == "params" and any(row.paper for row in sweep.rows):
        parts.append("Printed sizes: k, M and B are read as thousands, millions and billions")
    if kind == "checkerboard":
        parts += checkerboard.facts(evidence)
    return ". ".join(parts) + "."
