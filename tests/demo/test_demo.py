"""`holdfast demo` as a newcomer runs it: the real command, its exit code, its report, and what it leaves behind."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(240)]
ROWS = 20_000
REPORT_KEYS = {
    "scenario", "rows", "seed", "broker", "outcome", "verified", "checks", "decisions", "rows_changed_while_paused",
    "rows_not_restored", "application_writes", "application_writes_lost", "events", "wall_seconds",
}  # fmt: skip


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the demo's own folders, which PostgreSQL's user can pass through (pytest's is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def demo(tmp_path: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    report = tmp_path / "report.json"
    argv = [sys.executable, "-m", "holdfast_consoles", "demo", "--report", str(report), "--rows", str(ROWS), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert report.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr, json.loads(report.read_text())


def failed(report: dict[str, Any]) -> list[str]:
    return [check["name"] for check in report["checks"] if not check["passed"]]


def check_errors_report(code: int, output: str, report: dict[str, Any]) -> None:
    assert (code, failed(report)) == (0, []), output
    assert set(report) >= REPORT_KEYS
    assert (report["outcome"], report["verified"]) == ("rolled_back", True)
    assert len(report["checks"]) >= 7
    assert (report["rows_changed_while_paused"], report["rows_not_restored"], report["application_writes_lost"]) == (
        0,
        0,
        0,
    )
    assert report["application_writes"] > 300
    effective = {d["action"]: d for d in report["decisions"] if d["outcome"] == "effective"}
    assert set(effective) == {"pause", "rollback"}
    assert 0.05 < effective["pause"]["observed"] <= 0.1 < effective["rollback"]["observed"]
    for decision in effective.values():
        assert 0 <= decision["breach_to_decision_ms"] < 30_000
        assert 0 < decision["decision_to_effective_ms"] < 60_000
        said = rf"error_rate 0\.\d{{3,}} > {decision['threshold']:g} over 60 s \([\d,]+ of [\d,]+; lower bound 0\.\d{{3}}\)"
        assert re.fullmatch(said, decision["verdict"]), decision["verdict"]
    # The rollback and the second pause fell on the same event: both are recorded, the severer acts.
    assert [d["outcome"] for d in report["decisions"] if d["action"] == "pause"][-1] == "superseded"


def figures_apart(line: str) -> str:
    """A line of output with every number replaced: the README's were another run's."""
    return re.sub(r"\d[\d,.]*", "#", line.strip())


def test_errors_over_the_in_process_broker_and_as_the_readme_shows_it(scratch: Path) -> None:
    code, output, report = demo(scratch)
    check_errors_report(code, output, report)
    shown = (Path(__file__).parents[2] / "README.md").read_text().split("shortened:\n\n```\n")[1].split("\n```")[0]
    printed = iter(figures_apart(line) for line in output.splitlines())
    promised = [figures_apart(line) for line in shown.splitlines()]
    assert len(promised) == 12
    for line in promised:
        assert line in printed, f"the README shows a line that the demo did not print (there): {line}"


def test_healthy_over_the_in_process_broker(scratch: Path) -> None:
    code, output, report = demo(scratch, "--scenario", "healthy")
    assert (code, failed(report)) == (0, []), output
    assert (report["outcome"], report["decisions"], report["verified"]) == ("completed", [], True)


@pytest.mark.kafka
@pytest.mark.long  # sharded plays errors on it too
@pytest.mark.parametrize("scenario", ["errors", "healthy"])
def test_over_a_real_kafka(scratch: Path, kafka: Any, scenario: str) -> None:
    code, output, report = demo(scratch, "--scenario", scenario, "--broker", kafka.bootstrap_servers, "--seed", "2")
    if scenario == "errors":
        check_errors_report(code, output, report)
    else:
        assert (code, failed(report), report["outcome"]) == (0, [], "completed"), output


@pytest.mark.parametrize(
    ("runner", "figure"),
    [
        pytest.param("tests.demo.runner_that_writes_while_paused", "rows_changed_while_paused", marks=pytest.mark.long),
        ("tests.demo.runner_that_skips_part_of_its_undo", "rows_not_restored"),
    ],
)
def test_a_lying_runner_is_found_out(scratch: Path, runner: str, figure: str) -> None:
    code, output, report = demo(scratch, "--runner", runner)
    assert code == 1, output
    assert report[figure] > 0
    assert len(failed(report)) >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ended_half_way_it_leaves_nothing_running(scratch: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "holdfast_consoles", "demo", "--rows", str(ROWS)]
    with out.open("wb") as lines:
        started = subprocess.Popen(argv, stdout=lines, stderr=lines)
        wait_for(lambda: b"rows/s" in out.read_bytes(), 60, "the demo's progress")
        children = psutil.Process(started.pid).children(recursive=True)
        assert len(children) > 5
        started.send_signal(number)
        assert started.wait(40) in (128 + number, 130, 143)
    wait_for(
        lambda: not any(child.is_running() and child.status() != "zombie" for child in children),
        10,
        "every child's end",
    )
    assert not list(scratch.glob("holdfast-demo-*")), out.read_text()


@pytest.mark.parametrize("arguments", [["--broker", "nonsense"], ["--rows", "10"], ["--scenario", "nonsense"]])
def test_usage_is_refused_in_words(arguments: list[str]) -> None:
    argv = [sys.executable, "-m", "holdfast_consoles", "demo", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert arguments[0] in done.stderr


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [11, 12, 13, 14, 15])
@pytest.mark.parametrize("broker", ["inprocess", "kafka"])
def test_five_seeds_at_full_size(scratch: Path, kafka: Any, seed: int, broker: str) -> None:
    where = kafka.bootstrap_servers if broker == "kafka" else broker
    code, output, report = demo(scratch, "--seed", str(seed), "--broker", where, "--rows", "200000")
    check_errors_report(code, output, report)
