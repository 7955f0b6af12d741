"""The one door to the ledger: each method is one transaction, repeated without harm."""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping

import psycopg
from psycopg import sql

from holdfast_schemas.decisions import Decision
from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.errors import LedgerUnreachable
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.runs import RunnerRecord
from holdfast_schemas.settings import ActuatorSettings
from holdfast_schemas.triggers import DEFAULT_RULES_HASH
from holdfast_schemas.watches import Watched

from ..policy import on_the_brokers_clock
from ..protection import Major
from . import (
    attendance,
    causes,
    deadlines,
    listening,
    load,
    log_outcomes,
    log_undos,
    recoveries,
    retention,
    roles,
    schema,
)
from .entry import Entry
from .log_undos import LogUndo
from .notifications import Notifications
from .refusals import in_one_line
from .rows import OutboxRow, RulesInForce

BROKEN: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""The ledger is away, or failed over: connect again and repeat. Anything else is a bug or poison."""

AWAY: tuple[type[Exception], ...] = (*BROKEN, LedgerUnreachable)
"""BROKEN, and what connecting again raises."""

POISON: tuple[type[Exception], ...] = (psycopg.DataError,)
"""The record holds a value that no column can: it would fail for ever."""

RELAY_LOCK = 0x52454C59
"""Advisory lock ("RELY"): two relays would reorder epochs."""
OPTIONS = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=5s -c statement_timeout=30s -c timezone=UTC"


class Owed:
    """What the relay has to send, inside its transaction. ``sent()`` deletes it; without that everything stays owed."""

    def __init__(self, db: psycopg.Connection, rows: list[OutboxRow]) -> None:
        self.rows = rows
        self._db = db

    def sent(self) -> None:
        """Every row was delivered: they go with this transaction's commit."""
        self._db.execute("DELETE FROM outbox WHERE seq = ANY(%s)", ([row.seq for row in self.rows],))


class Ledger:
    """The ledger through one connection; give each thread its own. Raises one of BROKEN when the database is away."""

    def __init__(self, dsn: str, schema_name: str, settings: ActuatorSettings, partitions: int = 1) -> None:
        """``partitions``: how many the topics have, for what is known by partition."""
        self._dsn = dsn
        self._partitions = partitions
        self._schema = schema_name
        self._settings = settings
        self._connection: psycopg.Connection | None = None

    def connect(self) -> None:
        """Connect, or connect again. Raises LedgerUnreachable."""
        self.close()
        try:
            db = psycopg.connect(
                self._dsn, autocommit=True, connect_timeout=3, application_name="holdfast-actuator", options=OPTIONS
            )
            db.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self._schema)))
        except psycopg.Error as error:
            raise LedgerUnreachable(in_one_line(error)) from None
        self._connection = db

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def db(self) -> psycopg.Connection:
        """The connection; made when there is none."""
        if self._connection is None or self._connection.closed:
            self.connect()
        assert self._connection is not None
        return self._connection

    @contextlib.contextmanager
    def _entry(self) -> Iterator[Entry]:
        db = self.db
        with db.transaction():
            yield Entry(db, self._settings, self._partitions)

    def migrate(self) -> list[str]:
        """Bring the ledger's schema up to date; the names of the scripts applied. Raises what ``schema.migrate`` raises."""
        return schema.migrate(self.db, self._schema)

    def check_rights(self) -> None:
        """Raises LedgerRightsMissing: better at the start than in the midst of a pause."""
        roles.check(self.db, self._schema)

    def decide(self, decision: Decision, broker_ms: int) -> None:
        """Take in a trigger's decision; ``broker_ms`` is the newest broker time read on its partition."""
        with self._entry() as entry:
            causes.decide(entry, decision, broker_ms)

    def request(self, request: PersonRequest, logged_ms: int, broker_ms: int | None = None) -> None:
        """Take in a person's request, which the broker wrote at ``logged_ms``.

        ``broker_ms``: the newest broker time read on its partition; unless given, the request is read as it comes.
        """
        age_seconds = 0.0 if broker_ms is None else (broker_ms - logged_ms) / 1000
        with self._entry() as entry:
            causes.request(entry, on_the_brokers_clock(request, from_milliseconds(logged_ms)), age_seconds)

    def run_record(self, record: RunnerRecord) -> None:
        """Take in what a runner says."""
        with self._entry() as entry:
            attendance.heard(entry, record)

    def watched(self, watched: Watched, logged_ms: int) -> None:
        """Note a partition's newest Watched."""
        self.db.execute(
            "INSERT INTO watched (partition, rules_version, rules_hash, fresh_targets, logged_at) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (partition) DO UPDATE SET rules_version = excluded.rules_version, rules_hash = excluded.rules_hash,"
            " fresh_targets = excluded.fresh_targets, logged_at = excluded.logged_at"
            " WHERE watched.logged_at <= excluded.logged_at",
            (
                watched.partition, watched.rules_version, watched.rules_hash, list(watched.fresh_targets),
                from_milliseconds(logged_ms),
            ),
        )  # fmt: skip

    def saw_control(self, migration_id: str, epoch: int) -> None:
        """An epoch read on holdfast.control: no later one of ours may be lower."""
        self.db.execute(
            "INSERT INTO migration (migration_id, seen_epoch) VALUES (%s, %s) ON CONFLICT (migration_id) DO UPDATE"
            " SET seen_epoch = excluded.seen_epoch WHERE migration.seen_epoch < excluded.seen_epoch",
            (migration_id, epoch),
        )

    def deadlines(self, partitions: int = 1) -> int:
        """Do what is due; a transaction a migration. Returns the number of things done.

        ``partitions``: how many the log has; rules are in force once every one of them has named them.
        """
        with self._entry() as entry:
            done = deadlines.check_rules(entry, partitions)
            due = deadlines.migrations_due(entry)
        for migration_id in due:
            with self._entry() as entry:
                done += deadlines.check(entry, migration_id)
        return done

    def recovery_seen(self, migration_id: str, state: str, protect: str = "auto", major: Major | None = None) -> None:
        """Note what the target's journal says of a recovery, how the settings protect the migration, what is at stake."""
        recoveries.seen(self.db, migration_id, state, protect, major)

    def expect_recoveries(self, protect: Mapping[str, str]) -> None:
        """The migrations that settings protect, and how (auto, always, never); others are not."""
        recoveries.expect(self.db, protect)

    def to_arm(self, migration_ids: list[str]) -> list[tuple[str, str]]:
        """(migration, run) of those whose run waits for it."""
        return recoveries.to_arm(self.db, migration_ids)

    def armed(self, migration_id: str, run_id: str) -> None:
        """It is armed, and the slot begins with this run."""
        recoveries.armed(self.db, migration_id, run_id)

    def arm_refused(self, migration_id: str, run_id: str, why: str) -> None:
        """It cannot be armed for this run."""
        recoveries.refused(self.db, migration_id, run_id, why)

    def to_disarm(self, migration_ids: list[str]) -> list[str]:
        """Those whose run's watch window is over."""
        return recoveries.to_disarm(self.db, migration_ids)

    def disarmed(self, migration_id: str) -> None:
        """It is disarmed, and no run's any more."""
        recoveries.over(self.db, migration_id)

    def take_log_undo(self, owner: str, migration_ids: list[str]) -> LogUndo | None:
        """An undo from the log that is due and that nobody works at."""
        return log_undos.take(self.db, owner, migration_ids)

    def renew_log_undo(self, undo: LogUndo, seconds: float = log_undos.LEASE_SECONDS) -> bool:
        """Keep its lease for ``seconds`` from now; False when another one has it."""
        return log_undos.renew(self.db, undo, seconds)

    def log_undo_goes_on(self, undo: LogUndo, progress: Recovering) -> None:
        """How far it is."""
        with self._entry() as entry:
            log_outcomes.log_undo_goes_on(entry, undo, progress)

    def log_undone(self, undo: LogUndo, rows: int, conflicts: int, seconds: float) -> None:
        """It is done: the run is rolled back."""
        with self._entry() as entry:
            log_outcomes.log_undone(entry, undo, rows, conflicts, seconds)

    def log_undo_refused(self, undo: LogUndo, why: str) -> None:
        """It cannot be done: the rollback is held."""
        with self._entry() as entry:
            log_outcomes.log_undo_refused(entry, undo, why)

    def delete_old(self, keep_days: int) -> retention.Deleted:
        """Forget one batch of what is older than ``keep_days``."""
        with self.db.transaction():
            return retention.delete_old(self.db, self._schema, keep_days)

    def load(self) -> load.Load:
        """What is open and owed now."""
        with self.db.transaction():
            return load.read(self.db)

    def beat(self, listening_on: Collection[int]) -> RulesInForce:
        """Write to the ledger (the lease rests on it being writable), and read which rules are in force.

        ``listening_on``: the partitions on which what runners say has been read up to now.
        """
        with self.db.transaction():
            self.db.execute("UPDATE beat SET at = clock_timestamp()")
            listening.note(self.db, listening_on, self._settings)
            row = self.db.execute("SELECT version, rules_hash FROM rules ORDER BY version DESC LIMIT 1").fetchone()
        return RulesInForce(int(row[0]), str(row[1])) if row else RulesInForce(0, DEFAULT_RULES_HASH)

    @contextlib.contextmanager
    def owed(self, limit: int = 500) -> Iterator[Owed]:
        """The oldest records owed, for the one relay that gets the lock; the others see none."""
        db = self.db
        with db.transaction():
            got = db.execute(
                "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (RELAY_LOCK, self._schema)
            ).fetchone()
            rows: list[OutboxRow] = []
            if got and got[0]:
                found = db.execute(
                    "SELECT seq, topic, partition, every_partition, key, value, headers FROM outbox ORDER BY seq LIMIT %s",
                    (limit,),
                ).fetchall()
                rows = [_outbox_row(*row) for row in found]
            yield Owed(db, rows)

    @contextlib.contextmanager
    def notifications(self) -> Iterator[Notifications]:
        """What the webhook is owed."""
        db = self.db
        with db.transaction():
            yield Notifications(db, self._schema)


def _outbox_row(
    seq: int,
    topic: str,
    partition: int | None,
    every_partition: bool,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, str]] | str,
) -> OutboxRow:
    pairs = json.loads(headers) if isinstance(headers, str) else headers
    return OutboxRow(
        seq,
        topic,
        partition,
        every_partition,
        None if key is None else bytes(key),
        None if value is None else bytes(value),
        [(name, content.encode()) for name, content in pairs],
    )
