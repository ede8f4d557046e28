"""The small records of tests/fixtures in a copy that a test may change."""

import shutil
from pathlib import Path

import pytest

from tests.fixtures.make import RESULTS


@pytest.fixture
def results(tmp_path) -> Path:
    """A copy of the records."""
    return shutil.copytree(RESULTS, tmp_path / "results")
