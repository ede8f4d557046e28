"""The checkout's conf/ and results/, and which settings conf/ knows."""

import difflib
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
RESULTS = ROOT / "results"
OF_TABLES = ("seeds", "only", "methods", "dry")  # settings of a table, not of its cells
TABLE_FILE = "a table's file begins with `# @package _global_` and has `defaults: [base/sweep]`"


def unknown_setting(key: str) -> str:
    """One line for a setting that does not exist, or not for the chosen method."""
    if key.startswith("recipe."):
        return f"{key} is not a setting: a row of a recipe states its source's values; give train.lr=... and the like"
    if key in OF_TABLES:
        return f"{key} is a setting of a table; give table=NAME with it ({TABLE_FILE})"
    owners = [name for name, config in _methods() if key in config]
    if owners:
        return f"{key} is a setting of method={', '.join(owners)}, not of the chosen method; leave {key}= out"
    known = {k for _, config in _methods() for k in config} | set(OmegaConf.load(CONF / "config.yaml"))
    close = difflib.get_close_matches(key, known, n=1)
    return f"{key} is not a setting" + (f"; did you mean {close[0]}=?" if close else "; see python run.py --help")


def _methods() -> list[tuple[str, Any]]:
    return [(path.stem, OmegaConf.load(path)) for path in sorted((CONF / "method").glob("*.yaml"))]
