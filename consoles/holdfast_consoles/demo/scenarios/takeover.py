"""takeover: the worker that undoes and the actuator that owns the migration are SIGKILLed; another of each goes on."""

import time
from dataclasses import dataclass

import psycopg

from holdfast_schemas.errors import DemoFailed

from ..application import read_journal
from ..checker import RUNNER_NAME, Check, check_rolled_back
from ..unguarded import owner
from .guard_lost import partition_of_migration
from .play import PATIENCE_SECONDS, Play

SHORTENED = {"actuator": {"undo_silent_seconds": 8.0}}
WORKERS = 3
ROWS_SHARE = 0.25
STEPS_UNDONE = 20


@dataclass(frozen=True)
class Undo:
    """How far the undo is, by the target's own journal; ``token`` is the one that each step must find there."""

    token: int
    steps: int
    steps_undone: int
    mode: str


def takeover(play: Play) -> None:
    """Play it."""
    for number in range(1, WORKERS + 1):
        play.start_worker(f"runner-{number}", str(WORKERS))
    story = play.story
    play.wait(lambda: story.rows_done() > play.report.rows * ROWS_SHARE, "a quarter of the rows")
    assert story.desired is not None
    rollback = play.operator("rollback", story.desired.epoch, "the demo's operator has seen enough")
    first = _under_way(play)
    name = _undoing_worker(play)
    play.kill_worker(name)
    play.live.say(
        f"killed {name} (SIGKILL) in its undo: {first.steps_undone} of {first.steps} steps, token {first.token}"
    )
    partition = partition_of_migration(play)
    actuator = owner(play.stage.kafka, partition)
    play.stage.processes[actuator.removeprefix("demo-")].kill()
    play.live.say(f"killed {actuator} (SIGKILL), which owned the migration's partition {partition}")
    play.answered(rollback)
    play.wait(lambda: story.finished is not None, "the end of the undo by another worker")
    last, heir = _undo(play), owner(play.stage.kafka, partition)
    play.stop_application()
    play.check(
        Check(
            "another worker took the undo on, under a higher token",
            last.token > first.token and last.steps_undone == last.steps and last.mode == "undone",
            f"token {first.token} up to step {first.steps_undone}, token {last.token} to the end ({last.steps} steps)",
        )
    )
    play.check(Check("another actuator took the migration over", heir != actuator, f"{actuator}, then {heir}"))
    play.check(_nothing_twice(play))
    play.take(check_rolled_back(play.stage.app_dsn, read_journal(play.journal)))


def _under_way(play: Play) -> Undo:
    """Watch the journal until some steps are undone, and not all: an undo is soon over, so nothing else is looked at."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        undo = _undo(play)
        if undo.steps_undone >= STEPS_UNDONE:
            if undo.steps_undone == undo.steps:
                raise DemoFailed("the undo was over before its worker could be killed: use more --rows", "")
            return undo
        time.sleep(0.005)
    raise DemoFailed("the undo did not begin", "")


def _undo(play: Play) -> Undo:
    with psycopg.connect(play.stage.app_dsn) as db:
        row = db.execute(
            "SELECT undo_token, sum(step)::bigint, sum(steps_undone)::bigint, mode FROM holdfast_journal.run"
            " JOIN holdfast_journal.position USING (run_id) GROUP BY 1, 4"
        ).fetchone()
    if row is None:
        raise DemoFailed("the target's journal holds no run", "")
    return Undo(*row)


def _undoing_worker(play: Play) -> str:
    """The process whose worker the ledger named to undo."""
    story = play.story
    play.wait(lambda: story.desired is not None and story.desired.undo_by is not None, "the worker that undoes")
    assert story.desired is not None
    with psycopg.connect(play.stage.ledger_dsn) as db:
        row = db.execute("SELECT pid FROM holdfast.worker WHERE worker_id = %s", (story.desired.undo_by,)).fetchone()
    named = [name for name, worker in play.workers.items() if row is not None and worker.pid == row[0]]
    if not named:
        raise DemoFailed(f"no process of the run is worker {story.desired.undo_by}", "")
    return named[0]


def _nothing_twice(play: Play) -> Check:
    """Each row that only the runner wrote was written at most twice by it: once there, once back."""
    with psycopg.connect(play.stage.app_dsn) as db:
        row = db.execute(
            "SELECT count(*), count(*) FILTER (WHERE writes > 2), max(writes) FROM ("
            " SELECT id, count(*) AS writes FROM audit.write GROUP BY id"
            " HAVING bool_and(application_name LIKE %s || '%%')) AS runners",
            (RUNNER_NAME,),
        ).fetchone()
    rows, twice, most = row if row is not None else (0, 0, 0)
    return Check(
        "nothing was undone twice, by the table's audit",
        rows > 0 and twice == 0,
        f"{rows:,} rows that only the runner wrote, {twice} of them more than once there and once back (at most {most} writes)",
    )
