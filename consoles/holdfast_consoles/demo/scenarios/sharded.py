"""sharded: eight processes on one run, one of them SIGKILLed and started again; paused, resumed and rolled back as one."""

from datetime import datetime

import psycopg

from holdfast_schemas.errors import DemoFailed
from holdfast_schemas.record import from_milliseconds

from ..application import read_journal
from ..checker import APPLICATION_WRITES_MIN, PAUSE_SECONDS_MIN, RUNNER_NAME, Check, check_pause, check_rolled_back
from .errors import check_decisions
from .play import Play

# The killed process cannot say that it is paused: it counts as paused a lease and an acknowledgement's time after its end.
SHORTENED = {"actuator": {"lease_seconds": 10.0}}
WORKERS = 8
KILLED = "runner-3"
ROWS_SHARE_BEFORE_THE_KILL = 0.05


def sharded(play: Play) -> None:
    """Play it."""
    for number in range(1, WORKERS + 1):
        play.start_worker(f"runner-{number}", str(WORKERS))
    killed = _kill_and_start_again(play)
    pause = play.wait_for_effective("pause", "the pause")
    effective = from_milliseconds(pause.timestamp_ms)
    resume_asked = play.stay(effective, PAUSE_SECONDS_MIN, APPLICATION_WRITES_MIN)
    play.take(check_pause(play.stage.app_dsn, read_journal(play.journal), effective, resume_asked))
    epoch = pause.record.epoch or 0
    play.check(_all_paused(play, epoch, effective))
    play.answered(play.operator("resume", epoch, "the demo's operator lets it go on"))
    play.wait(lambda: play.story.finished is not None, "the end of the rollback")
    play.wait(lambda: all(worker.poll() == 0 for worker in play.workers.values()), "the end of all eight")
    play.stop_application()
    play.check(_shards_worked_on(play, killed))
    play.check(_undone_by_one(play))
    play.take(check_rolled_back(play.stage.app_dsn, read_journal(play.journal)))
    check_decisions(play)


def _kill_and_start_again(play: Play) -> str:
    """What the killed process's session was called."""
    story, rows = play.story, play.report.rows * ROWS_SHARE_BEFORE_THE_KILL
    play.wait(
        lambda: bool(story.decisions) or (len(story.progress) == WORKERS and story.rows_done() > rows),
        "work of all eight processes",
    )
    if story.decisions:
        raise DemoFailed("a trigger fired before one of eight processes at work could be killed", "")
    name = _session(play, KILLED)
    play.kill_worker(KILLED)
    play.live.say(f"killed {KILLED} (SIGKILL) and started it again, as a supervisor would", "bold red")
    play.start_worker(KILLED, str(WORKERS))
    return name


def _session(play: Play, name: str) -> str:
    return f"{RUNNER_NAME}-{play.workers[name].pid}"


def _all_paused(play: Play, epoch: int, effective: datetime) -> Check:
    """By the ledger each of the eight acknowledged the pause; by the target each is still connected, and waits."""
    with psycopg.connect(play.stage.ledger_dsn) as db:
        acknowledged = db.execute(
            "SELECT pid FROM holdfast.worker WHERE run_id = %s AND left_outcome IS NULL AND acknowledged_epoch >= %s",
            (play.run_id, epoch),
        ).fetchall()
    with psycopg.connect(play.stage.app_dsn) as db:
        connected = db.execute(
            "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE %s || '%%'"
            " AND backend_start < %s AND state = 'idle'",
            (RUNNER_NAME, effective),
        ).fetchall()
    pids = {worker.pid for worker in play.workers.values()}
    names = {_session(play, name) for name in play.workers}
    return Check(
        "all eight processes had acknowledged the pause, and lived on in it",
        {pid for (pid,) in acknowledged} == pids and {name for (name,) in connected} == names,
        f"{len(acknowledged)} acknowledged epoch {epoch}, {len(connected)} sessions idle outside a transaction",
    )


def _shards_worked_on(play: Play, killed: str) -> Check:
    """Each shard had a process of its own, and the killed one's a second, which went on with it."""
    again = _session(play, KILLED)
    with psycopg.connect(play.stage.app_dsn) as db:
        # A row's first write by a runner is the migration's, and every row of the journal was changed by one.
        found = db.execute(
            "SELECT shard, array_agg(DISTINCT application_name) FROM ("
            " SELECT DISTINCT ON (id) id, application_name FROM audit.write WHERE application_name LIKE %s || '%%'"
            " ORDER BY id, seq) AS first JOIN holdfast_journal.change ON key = id::text GROUP BY 1",
            (RUNNER_NAME,),
        ).fetchall()
    writers = {shard: set(names) for shard, names in found}
    everyone = set().union(*writers.values())
    shared = [names for names in writers.values() if len(names) > 1]
    return Check(
        "each of the eight shards had a process of its own, and the killed one's went on with the restarted",
        len(writers) == WORKERS and len(everyone) == WORKERS + 1 and shared == [{killed, again}],
        f"{len(writers)} shards, {len(everyone)} processes; of one shard: {', '.join(sorted(*shared[:1]))}",
    )


def _undone_by_one(play: Play) -> Check:
    """One process wrote back what all had written, each row once."""
    with psycopg.connect(play.stage.app_dsn) as db:
        rows, most, writers = db.execute(
            "SELECT count(*), coalesce(max(times), 0), array_agg(DISTINCT last) FROM ("
            " SELECT id, count(*) AS times, (array_agg(application_name ORDER BY seq DESC))[1] AS last FROM audit.write"
            " GROUP BY id HAVING bool_and(application_name LIKE %s || '%%')) AS runners WHERE times > 1",
            (RUNNER_NAME,),
        ).fetchone() or (0, 0, [])
    return Check(
        "one process took back what all had written, each row once",
        rows > 0 and most == 2 and len(writers) == 1,
        f"{rows:,} rows, written at most {most} times, the last time by {', '.join(writers or ['none'])}",
    )
