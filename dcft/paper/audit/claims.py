"""Statements in the paper's text against its own tables and the formulas (results/paper/claims.csv)."""

from decimal import Decimal

import pandas as pd

from dcft.errors import UserError
from dcft.paper.audit import knob_claims, method_claims  # noqa: F401  they add their checks to CLAIMS
from dcft.paper.audit.claim_checks import CLAIMS, NUMBERED, PrintedRows
from dcft.paper.audit.findings import Finding


def check(tables: dict[str, pd.DataFrame], cells: pd.DataFrame) -> list[Finding]:
    """A finding for every claim.

    Raises:
        UserError: if claims.csv has a claim that nothing checks, or a figure that a claim is about is missing.
    """
    printed, findings = PrintedRows(tables, cells), []
    for _, row in tables["claims"].iterrows():
        where = f"claims.csv:{row['line']}: claim={row['claim']}"
        if row["claim"] not in CLAIMS:
            raise UserError(f"{where}: give one of {', '.join(CLAIMS)}")
        numbers = [Decimal(row["value"])] if row["value"] else []
        if bool(numbers) != (row["claim"] in NUMBERED):
            raise UserError(
                f"{where}: value={row['value']}: " + ("it names no number" if numbers else "give its number")
            )
        try:
            computed, verdict = CLAIMS[row["claim"]](printed, *numbers)
        except (KeyError, TypeError) as error:  # a blank where the claim needs a figure
            raise UserError(f"{where}: a figure that it is about is blank ({error})") from error
        section = row["section"]
        findings.append(
            Finding(
                id=f"claim/{row['claim']}",
                kind="claim",
                table=section if section[0].isalpha() else f"section {section}",
                what=row["quote"],
                printed=row["value"],
                computed=computed,
                verdict=verdict,
            )
        )
    return findings
