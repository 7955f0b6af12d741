"""undo: a runner that has no undo is SIGKILLed half-way with wrong rows committed; the actuator takes them back from the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .. import orders
from ..application import Write, read_journal
from ..careless_runner import ROLE
from ..checker import RUNNER_NAME, Check
from ..stage import HOLDFAST
from .play import Play

MIGRATIONS: Mapping[str, Mapping[str, object]] = {
    orders.MIGRATION_ID: {"target": orders.TARGET, "tables": ["public.orders"], "role": ROLE}
}
ROWS_SHARE = 0.5
SERVER = """
    SELECT (SELECT count(*) FROM pg_replication_slots) AS slots, (SELECT count(*) FROM pg_publication) AS publications,
        (SELECT count(*) FROM pg_replication_origin) AS origins,
        (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'holdfast%%') AS triggers,
        (SELECT relreplident::text FROM pg_class WHERE oid = 'public.orders'::regclass) AS replica_identity,
        (SELECT rolcanlogin FROM pg_roles WHERE rolname = %s) AS may_log_in
"""
AS_BEFORE = {"slots": 0, "publications": 0, "origins": 0, "triggers": 0, "replica_identity": "d", "may_log_in": True}


def undo(play: Play) -> None:
    """Play it."""
    with psycopg.connect(play.stage.app_dsn, autocommit=True) as db:
        db.execute(f"CREATE ROLE {ROLE} LOGIN")
        db.execute(f"GRANT SELECT, UPDATE ON orders TO {ROLE}")
    play.live.say(f"[migrations.{orders.MIGRATION_ID}] is in the settings: the start gate arms it before the first row")
    play.start_worker("runner")
    play.wait(lambda: play.story.rows_done() > play.report.rows * ROWS_SHARE, "half of the rows")
    play.kill_worker("runner")
    play.live.say("killed the runner (SIGKILL): it has no undo, and what it committed is wrong by a factor of ten")
    for line in _types(play, "rollback", orders.MIGRATION_ID, "--dry-run").splitlines():
        play.live.say(f"    {line}")
    assert play.story.desired is not None
    reason = "every amount is wrong by a factor of ten"
    rollback = play.operator("rollback", play.story.desired.epoch, reason, "--wait", "2m")
    play.wait(lambda: play.story.finished is not None, "the end of the undo from the log")
    play.answered(rollback)
    effective = play.wait_for_effective("undo", "the record of the undo")
    play.live.say(f"undo effective, by the actuator: {effective.record.reason}")
    play.stop_application()
    recovery, conflicts = _journal(play)
    play.report.rows_undone, play.report.conflicts = recovery["rows_undone"], len(conflicts)
    play.report.undo_seconds = round(recovery["undo_seconds"], 3)
    play.check(Check("the run was rolled back", play.story.finished == "rolled_back", str(play.story.finished)))
    play.check(_wrong_rows_were_there(play))
    play.check(_as_if_it_never_ran(play, read_journal(play.journal), conflicts))
    _types(play, "disarm", orders.MIGRATION_ID)
    play.check(_nothing_left(play))


def _types(play: Play, verb: str, *arguments: str) -> str:
    """The operator types a command that speaks to the target itself; what it printed."""
    play.live.say(f"the operator types: holdfast {verb} {' '.join(arguments)}")
    return play.stage.run(f"{verb}-{len(play.stage.processes)}", [*HOLDFAST, verb, *arguments], 60)


def _journal(play: Play) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with psycopg.connect(play.stage.app_dsn, row_factory=dict_row) as db:
        recovery = db.execute("SELECT rows_undone, undo_seconds FROM holdfast_recovery.recovery").fetchone()
        return recovery or {}, db.execute("SELECT key, columns, reason FROM holdfast_recovery.conflict").fetchall()


def _wrong_rows_were_there(play: Play) -> Check:
    """By the table's audit: the undo had something to take back."""
    with psycopg.connect(play.stage.app_dsn) as db:
        row = db.execute(
            "SELECT count(*), count(DISTINCT id) FROM audit.write WHERE application_name LIKE %s || '%%'",
            (RUNNER_NAME,),
        ).fetchone()
    written, distinct = row or (0, 0)
    enough = distinct >= play.report.rows * ROWS_SHARE * 0.9
    return Check(
        "half of the table held wrong amounts", enough, f"{written:,} writes of the runner to {distinct:,} rows"
    )


def _as_if_it_never_ran(play: Play, journal: Sequence[Write], conflicts: Sequence[dict[str, Any]]) -> Check:
    """The whole table against its twin: the rows as they were laid out, and on them the application's journal alone."""
    twin: dict[int, tuple[str, int | None, str]] = {
        row: (text, cents, "") for row, text, cents in orders.rows(play.report.rows, play.report.seed, healthy=True)
    }
    for write in journal:
        if write.op == "delete":
            twin.pop(write.id, None)
            continue
        text, cents, note = twin.get(write.id, ("", None, ""))
        twin[write.id] = (
            text if write.amount_text is None else write.amount_text,
            write.amount_cents if write.wrote_cents else cents,
            note if write.note is None else write.note,
        )
    with psycopg.connect(play.stage.app_dsn) as db:
        table = {row[0]: row[1:] for row in db.execute("SELECT id, amount_text, amount_cents, note FROM orders")}
    differing = [row for row in twin.keys() | table.keys() if twin.get(row) != table.get(row)]
    play.report.rows_not_restored = len(differing)
    listed = {int(conflict["key"]["id"]) for conflict in conflicts}
    return Check(
        "the table is what the application's writes alone would have made of it",
        bool(journal) and not differing,
        f"{len(table):,} rows compared, {len(differing)} differ; {len(journal):,} writes of the application;"
        f" {len(listed):,} rows where it wrote over the runner's value, listed as conflicts",
    )


def _nothing_left(play: Play) -> Check:
    with psycopg.connect(play.stage.app_dsn, row_factory=dict_row) as db:
        found = db.execute(SERVER, (ROLE,)).fetchone()
    said = ", ".join(f"{name} {value}" for name, value in (found or {}).items())
    return Check("nothing is left on the server, and the role may log in", found == AS_BEFORE, said)
