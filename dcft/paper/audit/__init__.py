"""An audit of the paper's figures: every figure of results/paper that others or a formula give is computed again.

`run` reads the printed figures and returns the findings; `dcft.views.audit` prints and writes them. No model is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dcft.paper import printed
from dcft.paper.audit import averages, baselines, claims, noise, settings, single_runs, sizes
from dcft.paper.audit.findings import Finding


@dataclass
class Audit:
    """What was found, and tables of detail."""

    findings: list[Finding]
    parameters: pd.DataFrame  # every printed size beside the formula's
    single_runs: pd.DataFrame  # which scores can be one run, row by row
    noise: pd.DataFrame  # how many leads of DCFT exceed chance, by table
    noise_by_figure: pd.DataFrame  # the same by table, backbone and figure


def run(paper: Path = printed.PAPER) -> Audit:
    """Audit the figures in a folder.

    Args:
        paper: folder with table1.csv ... table10.csv, claims.csv and other_papers.csv.

    Raises:
        UserError: if a file is missing or malformed.
    """
    tables = printed.read(paper)
    cells = printed.cells(tables)
    size_findings, size_table = sizes.check(cells, tables["other_papers"])
    run_findings, run_table = single_runs.check(cells)
    noise_findings, noise_table, noise_by_figure = noise.check(cells)
    findings = [
        *size_findings,
        *averages.averages(cells),
        *averages.equal_rows(cells),
        *averages.clashes(cells),
        *run_findings,
        *settings.check(tables),
        *baselines.check(cells, tables["other_papers"]),
        *claims.check(tables, cells),
        *noise_findings,
    ]
    return Audit(findings, size_table, run_table, noise_table, noise_by_figure)
