"""Numbers in the documentation are those of the models."""

import re

import pytest

from tests.conftest import MORE_METHODS, PAPER_METHODS, ROOT
from tests.paper.test_counts import prepared

ROW = re.compile(r"^\| `(\w+)` \|.*?\| ([\d,]+) \|", re.MULTILINE)
COUNTS = {name: int(n.replace(",", "")) for name, n in ROW.findall((ROOT / "docs" / "methods.md").read_text())}


def test_every_method_has_a_row():
    assert list(COUNTS) == PAPER_METHODS + MORE_METHODS


@pytest.mark.parametrize("method", COUNTS)
def test_the_count_of_each_method_is_the_model_s(method):
    assert prepared("deberta-v3-base", "task=rte", f"method={method}").params["adapter"] == COUNTS[method]
