"""An audit of the paper's figures: everything in results/paper that can be computed, computed.

`run` reads the published figures and returns the findings; `dcft.audit.report` prints and writes them. Nothing here
trains, loads a model or imports torch.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dcft import published
from dcft.audit import claims, grid, numbers, parameters, recipes, sources
from dcft.audit.findings import Finding


@dataclass
class Audit:
    """What was found, and two tables of detail."""

    findings: list[Finding]
    parameters: pd.DataFrame  # every printed size beside the formula's
    grid: pd.DataFrame  # which scores can be one run, row by row


def run(paper: Path = published.PAPER) -> Audit:
    """Audit the figures in a folder.

    Args:
        paper: folder with table1.csv ... table10.csv, claims.csv and other_papers.csv.

    Raises:
        UserError: if a file is missing or malformed.
    """
    tables = published.read(paper)
    cells = published.cells(tables)
    sizes, parameter_table = parameters.check(cells, tables["other_papers"])
    runs, grid_table = grid.check(cells)
    findings = [
        *sizes,
        *numbers.averages(cells),
        *numbers.equal_rows(cells),
        *numbers.clashes(cells),
        *runs,
        *recipes.check(tables),
        *sources.check(cells, tables["other_papers"]),
        *claims.check(tables, cells),
    ]
    return Audit(findings, parameter_table, grid_table)
