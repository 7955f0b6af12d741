"""The scenarios about what a run and its target say of themselves, as a newcomer runs them; the database judges."""

from pathlib import Path
from typing import Any

import pytest

from tests.demo.test_demo import demo, failed, scratch

__all__ = ["scratch"]
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


def played(tmp_path: Path, scenario: str) -> tuple[str, dict[str, Any]]:
    code, output, report = demo(tmp_path, "--scenario", scenario, "--rows", "20000")
    assert (code, failed(report), report["outcome"]) == (0, [], "completed"), output
    assert report["verified"]
    return output, report


def test_slow(scratch: Path, tmp_path: Path) -> None:
    output, report = played(tmp_path, "slow")
    assert {(d["trigger_id"], d["action"], d["outcome"]) for d in report["decisions"]} == {
        ("response-time-warn", "warn", "noted")
    }
    assert "shortened for the demo: response_time_p95 > 150 ms over 12 s (2,000 ms over 60 s)" in output


def test_stall(scratch: Path, tmp_path: Path) -> None:
    output, report = played(tmp_path, "stall")
    assert {d["action"] for d in report["decisions"]} == {"warn"}
    order = [d["trigger_id"] for d in report["decisions"] if d["trigger_id"] in ("stuck-warn", "silent-warn")]
    assert list(dict.fromkeys(order)) == ["stuck-warn", "silent-warn"]  # on a slow machine it may fall silent once more
    assert output.count("(SIGKILL)") == 1
