"""Several workers on one run, and runs that meet: crash, takeover, fence, an undo that is owed. The whole loop, real."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.identity import new_id
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.postgres,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("runs-that-meet"),
]
ROWS = 20_000
QUICK = {
    "actuator": {
        "lease_seconds": 8.0, "acknowledgement_seconds": 2.0, "worker_heard_seconds": 4.0, "undo_silent_seconds": 6.0,
    },
    "reporter": {"acknowledgement_seconds": 1.0, "guard_return_spread_seconds": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def on(kafka: Any) -> Iterator[Stage]:
    """One loop for all of this file; each test has a migration of its own."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o711)  # PostgreSQL's user must pass through it
    try:
        with stage(kafka.bootstrap_servers, folder, lambda line: None, settings=QUICK) as on:
            yield on
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(on: Stage, migration_id: str, batches: int, *options: str, run_id: str | None = None) -> ChildProcess:
    argv = [sys.executable, "-m", "tests.loop.steady", migration_id, str(batches), *options]
    variables = {"PYTHONPATH": str(Path(__file__).parents[2])}
    if run_id is not None:
        variables["HOLDFAST_RUN_ID"] = run_id
    return on.start(f"{migration_id}-{new_id()[-6:]}", argv, **variables)


def done(worker: ChildProcess) -> int:
    """Batches that the worker has printed."""
    return worker.log_path.read_text().count("batch ") if worker.log_path.exists() else 0


def last(worker: ChildProcess) -> str:
    return worker.log_tail(1)


def holdfast(on: Stage, *words: str) -> tuple[int, str]:
    ran = subprocess.run(
        [*HOLDFAST, *words], env=on.environment(), capture_output=True, text=True, timeout=90, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


def status(on: Stage, migration_id: str) -> dict[str, Any]:
    code, text = holdfast(on, "status", migration_id, "--json")
    found: dict[str, Any] = json.loads(text) if code == 0 else {}
    return found


def test_workers_of_one_run_are_paused_as_one_and_end_it_together(on: Stage) -> None:
    run_id = new_id()
    workers = [start(on, "three-workers", 250, "workers=3", run_id=run_id) for _ in range(3)]
    wait_for(lambda: all(done(worker) > 5 for worker in workers), 60, "work of all three")
    code, text = holdfast(on, "pause", "three-workers", "--reason", "a look", "--wait", "20s")
    assert (code, "is effective" in text) == (0, True), text
    stood = [done(worker) for worker in workers]
    assert status(on, "three-workers")["metrics"]["workers_live"] == 3
    assert [done(worker) for worker in workers] == stood
    epoch = status(on, "three-workers")["epoch"]
    code, text = holdfast(on, "resume", f"three-workers#{epoch}", "--reason", "seen", "--wait", "20s")
    assert code == 0, text
    for worker in workers:
        assert worker.wait(60) == 0
        assert last(worker) == "completed", worker.log_tail()
    wait_for(lambda: status(on, "three-workers")["state"] == "completed", 30, "the end of the run", 0.5)
    assert status(on, "three-workers")["metrics"]["rows_processed"] == 3 * 2_500


def test_a_second_run_is_refused_while_the_first_lives_and_takes_over_when_told_to(on: Stage) -> None:
    first = start(on, "two-runs", 5_000)
    wait_for(lambda: done(first) > 5, 60, "work of the first")
    second = start(on, "two-runs", 10)
    assert second.wait(60) == 0
    assert last(second).startswith("RunAlreadyLive"), second.log_tail()
    assert first.poll() is None
    third = start(on, "two-runs", 100, "takeover")
    assert first.wait(60) == 0
    assert last(first).startswith("RunFenced"), first.log_tail()
    assert third.wait(60) == 0
    assert last(third) == "completed", third.log_tail()
    wait_for(lambda: status(on, "two-runs")["state"] == "completed", 30, "the end of the run", 0.5)
    assert status(on, "two-runs")["metrics"]["rows_processed"] == 1_000  # the fenced run's rows are not the third's


def test_a_frozen_worker_that_was_taken_over_wakes_up_fenced(on: Stage) -> None:
    frozen = start(on, "frozen-worker", 5_000)
    wait_for(lambda: done(frozen) > 5, 60, "work of the first")
    frozen.send_signal(signal.SIGSTOP)
    heir = start(on, "frozen-worker", 300, "takeover")
    wait_for(lambda: done(heir) > 20, 60, "work of the heir")
    before = done(frozen)
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(60) == 0
    assert last(frozen).startswith("RunFenced"), frozen.log_tail()
    assert done(frozen) <= before + 2  # the batch at hand, and one behind a checkpoint that had not heard yet
    assert heir.wait(60) == 0
    wait_for(lambda: status(on, "frozen-worker")["state"] == "completed", 30, "the end of the run", 0.5)
    assert status(on, "frozen-worker")["metrics"]["rows_processed"] == 3_000


def granted(worker: ChildProcess) -> ChildProcess | None:
    """The worker once its run is granted (it stands or works then); None when it was refused."""

    def answered() -> bool:
        return worker.poll() is not None or "began" in worker.log_path.read_text()

    wait_for(answered, 60, f"an answer to {worker.log_path.name}")
    if worker.poll() is None:
        return worker
    assert last(worker).startswith("RunAlreadyLive"), worker.log_tail()
    return None


def test_after_a_crash_while_a_person_held_it_the_next_run_begins_paused(on: Stage) -> None:
    crashed = start(on, "held", 5_000)
    wait_for(lambda: done(crashed) > 5, 60, "work")
    code, text = holdfast(on, "pause", "held", "--reason", "month end", "--actor", "ana", "--wait", "20s")
    assert code == 0, text
    crashed.kill()

    again = None
    deadline = time.monotonic() + 60
    while again is None:  # until the ledger has not heard the dead one for a while it may be alive: the next is refused
        assert time.monotonic() < deadline
        again = granted(start(on, "held", 50))
    assert done(again) == 0
    found = status(on, "held")
    assert found["desired"]["desired"] == "pause"
    assert "ana" in found["desired"]["reason"] + found["desired"]["set_by"]
    code, text = holdfast(on, "history", "held")
    assert "ana (asserted)" in text
    code, text = holdfast(on, "resume", f"held#{found['epoch']}", "--reason", "the month is over", "--wait", "20s")
    assert code == 0, text
    assert again.wait(60) == 0
    assert last(again) == "completed", again.log_tail()


def held_by_a_trigger(on: Stage, migration_id: str, folder: Path) -> ChildProcess:
    """A worker of which 8 % of the rows fail, once its run was paused for it."""
    failing = folder / f"{migration_id}-failing"
    failing.write_text("4")
    argv = [sys.executable, "-m", "tests.consoles.runner_with_errors", migration_id, str(failing)]
    worker = on.start(migration_id, argv, PYTHONPATH=str(Path(__file__).parents[2]))
    wait_for(lambda: status(on, migration_id).get("state") == "paused", 90, "the trigger's pause", 0.5)
    assert "error-rate-pause" in str(status(on, migration_id)["desired"])
    return worker


def test_after_a_crash_while_a_trigger_held_it_the_next_run_goes_on_by_its_own_figures(
    on: Stage, tmp_path: Path
) -> None:
    held_by_a_trigger(on, "trigger-held", tmp_path).kill()
    again = None
    deadline = time.monotonic() + 60
    while again is None:  # while the dead one may be alive the next is refused
        assert time.monotonic() < deadline
        again = granted(start(on, "trigger-held", 200))
    assert again.wait(60) == 0
    assert last(again) == "completed", again.log_tail()
    wait_for(lambda: status(on, "trigger-held")["state"] == "completed", 30, "the end of the run", 0.5)
    figures = status(on, "trigger-held")["metrics"]
    assert (figures["rows_processed"], figures["error_rate"]) == (2_000, 0.0)


def test_a_worker_frozen_while_a_trigger_held_it_wakes_fenced_and_moves_no_figure(on: Stage, tmp_path: Path) -> None:
    frozen = held_by_a_trigger(on, "trigger-frozen", tmp_path)
    frozen.send_signal(signal.SIGSTOP)
    heir = start(on, "trigger-frozen", 200, "takeover")
    wait_for(lambda: done(heir) > 20, 60, "work of the heir")
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(60) != 0
    assert "RunFenced" in frozen.log_tail(), frozen.log_tail()
    assert heir.wait(60) == 0
    wait_for(lambda: status(on, "trigger-frozen")["state"] == "completed", 30, "the end of the run", 0.5)
    figures = status(on, "trigger-frozen")["metrics"]
    assert (figures["rows_processed"], figures["error_rate"]) == (2_000, 0.0)


def backfill(on: Stage, run_id: str, shards: int = 1) -> ChildProcess:
    argv = [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, str(ROWS), "10", str(shards)]
    return on.start(f"backfill-{new_id()[-6:]}", argv, HOLDFAST_RUN_ID=run_id)


def count(on: Stage, query: str) -> int:
    with psycopg.connect(on.app_dsn) as db:
        row = db.execute(query).fetchone()  # type: ignore[arg-type]
        return -1 if row is None or row[0] is None else int(row[0])


STEPS = "SELECT coalesce(sum(step), 0) FROM holdfast_journal.position"
UNDONE = "SELECT coalesce(sum(steps_undone), 0) FROM holdfast_journal.position"
CHANGED = "SELECT count(*) FROM audit.write WHERE application_name LIKE 'holdfast-runner%%'"


def test_a_run_that_died_half_undone_is_taken_back_by_a_process_of_the_next(on: Stage) -> None:
    orders.create(on.app_dsn, ROWS, 1, healthy=True)
    before = count(on, "SELECT sum(coalesce(amount_cents, -id)) FROM orders")
    first = backfill(on, new_id())
    wait_for(
        lambda: count(on, "SELECT count(*) FROM pg_namespace WHERE nspname = 'holdfast_journal'") == 1, 60, "a journal"
    )
    wait_for(lambda: count(on, STEPS) > 300, 60, "steps")
    epoch = status(on, orders.MIGRATION_ID)["epoch"]
    asking = subprocess.Popen(
        [*HOLDFAST, "rollback", f"{orders.MIGRATION_ID}#{epoch}", "--reason", "enough"],
        env=on.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: count(on, UNDONE) > 5, 60, "the undo under way", 0.002)
    first.kill()
    asking.communicate(timeout=60)
    assert 0 < count(on, UNDONE) < count(on, STEPS), "the undo was over before the kill"
    next_run = backfill(on, new_id())
    assert next_run.wait(120) == 0, next_run.log_tail()
    assert last(next_run).startswith("rolled_back"), next_run.log_tail()
    assert count(on, UNDONE) == count(on, STEPS)
    assert count(on, "SELECT sum(coalesce(amount_cents, -id)) FROM orders") == before
    assert count(on, "SELECT max(n) FROM (SELECT count(*) n FROM audit.write GROUP BY id) w") == 2
    code, text = holdfast(on, "verify")
    assert code == 0, text
