"""The scenarios in which parts of the loop die, as a newcomer runs them: real Kafka, real SIGKILLs, the database judges."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.demo.test_demo import demo, failed, scratch

__all__ = ["scratch"]
pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


def played(tmp_path: Path, kafka: Any, scenario: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    code, output, report = demo(tmp_path, "--scenario", scenario, "--broker", kafka.bootstrap_servers, *arguments)
    assert (code, failed(report)) == (0, []), output
    assert report["verified"]
    return output, report


@pytest.mark.long  # 95 s; each way to lose the guard has a test of its own in tests/kills and tests/producers
def test_guard_lost(scratch: Path, tmp_path: Path, kafka: Any) -> None:
    output, report = played(tmp_path, kafka, "guard-lost", "--rows", "50000")
    assert (report["outcome"], report["decisions"]) == ("completed", [])
    lost = [check for check in report["checks"] if check["name"].startswith("without ")]
    assert [check["name"].split(" the runner ")[0] for check in lost] == [
        "without the actuator",
        "without the processor",
        "without the ledger's server",
    ]
    assert "shortened for the demo: [actuator] beat_seconds = 1, lease_seconds = 6" in output
    worst = re.search(r"the worst unguarded time: ([\d.]+) s", output)
    assert worst is not None
    assert 0 < float(worst[1]) <= 5 + 6 + 1


def test_takeover(scratch: Path, tmp_path: Path, kafka: Any) -> None:
    output, report = played(tmp_path, kafka, "takeover", "--rows", "40000")
    assert report["outcome"] == "rolled_back"
    assert (report["rows_not_restored"], report["application_writes_lost"]) == (0, 0)
    assert output.count("(SIGKILL)") == 2


def test_they_need_a_real_kafka(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "holdfast_consoles", "demo", "--scenario", "guard-lost", "--broker", "inprocess"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "plays on a real Kafka" in done.stderr


def test_sharded(scratch: Path, tmp_path: Path, kafka: Any) -> None:
    output, report = played(tmp_path, kafka, "sharded")
    assert report["outcome"] == "rolled_back"
    assert (report["rows_changed_while_paused"], report["rows_not_restored"]) == (0, 0)
    assert output.count("(SIGKILL)") == 1
    assert "of 9 workers have acknowledged" in output  # the killed one's part was waited for, too
    effective = {d["action"]: d for d in report["decisions"] if d["outcome"] == "effective"}
    assert set(effective) == {"pause", "rollback"}
