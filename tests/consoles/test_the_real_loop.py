"""The command line against the real services: what the stand-in plays elsewhere is said here by the actuator itself."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from tests.consoles.conftest import Ran
from tests.waiting import wait_for

MIGRATION = "orders-amount-cents"
RULES = '[[triggers]]\nid = "errors"\nmetric = "error_rate"\nthreshold = 0.02\naction = "pause"\n'


@pytest.fixture
def on() -> Iterator[Stage]:
    """The in-process broker, two databases, a processor and an actuator."""
    with tempfile.TemporaryDirectory(prefix="holdfast-loop-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's own user must pass through it
        with stage("inprocess", folder, print) as running:
            yield running


@pytest.fixture
def typed(on: Stage, tmp_path: Path) -> Callable[..., Ran]:
    """Runs one command as a process of its own, in the stage's environment."""

    def run(*arguments: str) -> Ran:
        done = subprocess.run(
            [*HOLDFAST, *arguments], env=on.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.mark.postgres
def test_a_persons_day(on: Stage, typed: Callable[..., Ran], tmp_path: Path) -> None:
    def status() -> dict[str, Any]:
        shown = typed("status", MIGRATION, "--json")
        return json.loads(shown.out) if shown.code == 0 else {"state": "", "epoch": None}

    def wait_until(state: str) -> dict[str, Any]:
        return wait_for(lambda: (now := status())["state"] == state and now, 40, f"{MIGRATION} {state}", 0.1)  # type: ignore[return-value]

    (tmp_path / "rules.toml").write_text(RULES)
    applied = typed("triggers", "apply", "rules.toml", "--reason", "stricter", "--wait", "40s")
    assert (applied.code, applied.err) == (0, "")
    assert "rules version 1" in applied.out

    orders.create(on.app_dsn, 40_000, 1, healthy=True)
    runner = on.start("runner", [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, "40000", "50"])
    running = wait_until("running")
    assert running["guarded"]
    assert running["metrics"]["rules_version"] == 1

    paused = typed("pause", MIGRATION, "--reason", "lunch")
    assert paused.code == 0, paused.err
    assert f"pause of {MIGRATION}#{running['epoch'] + 1} is effective" in paused.out
    assert wait_until("paused")["epoch"] == running["epoch"] + 1

    moved = typed("resume", f"{MIGRATION}#{running['epoch']}", "--reason", "did not look")
    assert moved.code == 3
    assert f"now #{running['epoch'] + 1}: pause by" in moved.err

    assert typed("resume", f"{MIGRATION}#{running['epoch'] + 1}", "--reason", "back").code == 0
    assert typed("pause", "--all", "--reason", "incident").code == 0
    assert typed("resume", "--all", "--reason", "incident over").code == 0
    epoch = wait_until("running")["epoch"]
    rolled_back = typed("rollback", f"{MIGRATION}#{epoch}", "--reason", "wrong rates", "--actor", "ana@db-1")
    assert rolled_back.code == 0, rolled_back.err
    assert runner.wait(40) == 0, runner.log_tail()
    wait_until("rolled back")

    told = typed("history", MIGRATION).out
    assert "by ana@db-1 (asserted)" in told
    assert "rollback" in typed("explain", MIGRATION).out
    verified = typed("verify")
    assert verified.code == 0, verified.out
