"""docs/when-it-dies.md: every row says what one sees, what Holdfast does, what one does, and names a test that exists."""

import re
from pathlib import Path

import pytest

from .test_protocol_page import functions_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "when-it-dies.md").read_text()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| What ")
]


def test_there_are_rows_for_every_component() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.M)
    for component in ("guard", "Actuators", "ledger", "Processors", "Runners", "People", "input", "Services"):
        assert any(component in title for title in titles), component
    assert len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_a_row_is_complete_and_its_test_exists(row: list[str]) -> None:
    assert len(row) == 5
    assert all(row), row
    named = re.fullmatch(r"`(tests/[\w/]+\.py)::(\w+)`", row[4])
    assert named is not None, row[4]
    assert named[2] in functions_of(named[1])
