"""The scenario `undo`, as a newcomer runs it: wrong rows of a killed runner are taken back from the log; the database judges."""

from pathlib import Path

import pytest

from tests.demo.test_demo import demo, failed, scratch

__all__ = ["scratch"]
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


def test_undo(scratch: Path, tmp_path: Path) -> None:
    code, output, report = demo(tmp_path, "--scenario", "undo", "--rows", "20000")
    assert (code, failed(report), report["outcome"]) == (0, [], "rolled_back"), output
    assert report["verified"]
    assert report["rows_undone"] > 9_000
    assert report["rows_not_restored"] == 0
    assert 0 < report["undo_seconds"] < 60
    assert "from the log" in output
    assert f"{report['rows_undone']:,} rows undone from the log" in output
