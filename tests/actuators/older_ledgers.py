"""Ledgers as earlier releases left them: their scripts, and rows of every kind that were in use."""

import psycopg

from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.triggers import rules_hash

from .conftest import MIGRATION, SCHEMA

RUN, OLD_RUN, WORKER, DECISION = (
    "0190a0a0-0000-7000-8000-000000000001",
    "0190a0a0-0000-7000-8000-000000000002",
    "0190a0a0-0000-7000-8000-000000000003",
    "d" * 32,
)
EPOCH, SEEN_EPOCH = 41, 43
RULES = '{"triggers": []}'
PREVIOUS = ledger_schema.scripts()[:-1]
"""What the release before the newest script had."""

CONTENT = f"""
INSERT INTO migration (migration_id, run_id, epoch, seen_epoch, start_epoch, resumed_epoch, desired, set_by, reason)
    VALUES ('{MIGRATION}', '{RUN}', {EPOCH}, {SEEN_EPOCH}, 40, 40, 'pause', 'trigger:error-rate', '0.08 > 0.05'),
           ('closed-long-ago', '{OLD_RUN}', 12, 12, 3, 3, 'none', 'ledger', 'the watch window is over');
INSERT INTO run (run_id, migration_id, target, mode, on_guard_loss, was, state, start_epoch, outcome, finished_at)
    VALUES ('{RUN}', '{MIGRATION}', 'orders', 'guard', 'pause', 'new', 'live', 40, NULL, NULL),
           ('{OLD_RUN}', 'closed-long-ago', 'orders', 'guard', 'pause', 'finished', 'closed', 3, 'completed', now());
INSERT INTO worker (run_id, worker_id, acknowledged_epoch, can_undo, host, pid)
    VALUES ('{RUN}', '{WORKER}', 40, true, 'batch-1', 4711);
INSERT INTO action (cause_id, cause_kind, migration_id, run_id, kind, epoch, was, state, revision, actor, reason, verdict,
                    trigger_id, decided_at, deadline, body)
    VALUES ('{RUN}', 'run', '{MIGRATION}', '{RUN}', 'run', 40, 'requested', 'effective', 2, 'ledger', 'granted', '', NULL, NULL,
            NULL, '{{}}'),
           ('{DECISION}', 'decision', '{MIGRATION}', '{RUN}', 'pause', {EPOCH}, 'new', 'requested', 1,
            'trigger:error-rate', '0.08 > 0.05', '0.08 > 0.05', 'error-rate', now(), now() + interval '1 h', '{{"a": 1}}'),
           ('asked-by-a-person', 'request', NULL, NULL, 'freeze', NULL, 'new', 'effective', 1, 'ana', '1 migrations paused',
            '', NULL, NULL, NULL, '{{}}');
INSERT INTO rules (version, rules, rules_hash, request_id) VALUES (7, '{RULES}', '{rules_hash(RULES)}', 'asked-by-a-person');
INSERT INTO watched (partition, rules_version, rules_hash, fresh_targets, logged_at)
    VALUES (0, 7, '{rules_hash(RULES)}', '{{orders}}', now());
INSERT INTO frozen (actor, reason) VALUES ('ana', 'payday');
"""
OWED = """INSERT INTO outbox (topic, every_partition, key, value, headers) VALUES (%s, false, %s, %s, %s)"""


def make(dsn: str, scripts: list[ledger_schema.Script] = PREVIOUS, *, content: bool = True) -> None:
    """A ledger with these scripts applied as every release applied them, and rows as their services wrote them."""
    with psycopg.connect(dsn) as db:
        db.execute(f"CREATE SCHEMA {SCHEMA}")  # type: ignore[arg-type]
        db.execute(f"SET search_path TO {SCHEMA}")  # type: ignore[arg-type]
        db.execute("CREATE TABLE schema_version (number int PRIMARY KEY, name text, checksum text)")
        for number, name, text in scripts:
            db.execute(text)
            row = (number, name, ledger_schema.checksum(text))
            db.execute("INSERT INTO schema_version VALUES (%s, %s, %s)", row)
        if content:
            db.execute(CONTENT)  # type: ignore[arg-type]
            for state in ("requested", "effective"):
                record = ActionRecorded(
                    cause_id=f"owed-{state}", cause_kind="request", migration_id=MIGRATION, kind="pause", outcome=state,
                    actor="ana", occurred_at=now(),
                )  # fmt: skip
                encoded = encode(record, source="holdfast/actuator")
                db.execute(OWED, (topics.actions.name, encoded.key, encoded.value, "[]"))


def everything(dsn: str, columns_of: dict[str, list[str]] | None = None) -> dict[str, list[tuple[object, ...]]]:
    """Every table's rows, sorted; of the columns given, else of all but the version table."""
    found = {}
    with psycopg.connect(dsn) as db:
        for table, columns in (columns_of or tables(dsn)).items():
            query = f"SELECT {', '.join(columns)} FROM {SCHEMA}.{table}"
            found[table] = sorted(db.execute(query).fetchall(), key=repr)  # type: ignore[arg-type]
    return found


def tables(dsn: str) -> dict[str, list[str]]:
    """Columns by table, without the version table."""
    with psycopg.connect(dsn) as db:
        rows = db.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name <> 'schema_version' GROUP BY 1",
            (SCHEMA,),
        ).fetchall()
    return dict(rows)
