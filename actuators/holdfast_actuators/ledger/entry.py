"""One transaction on the ledger: the row lock, the rows, the actions and their records, and what is owed to Kafka."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from holdfast_schemas.actions import ActionRecorded, CauseKind
from holdfast_schemas.desired_state import TOMBSTONE_EPOCH, TOMBSTONE_RUN_ID, Answer, DesiredState, Recovering
from holdfast_schemas.record import Record
from holdfast_schemas.settings import ActuatorSettings
from holdfast_schemas.states import ActionKind, Desired, Outcome, RunState
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import Headers, encode
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.topics import Topic

from . import listening, notifications
from .rows import ActionRow, FreezeRow, MigrationRow, RunRow, WorkerRow

MIGRATION = (
    "migration_id, run_id, epoch, seen_epoch, start_epoch, resumed_epoch, desired, set_by, reason, held_by,"
    " held_by_freeze, until, undo_by, undo_token, override_by, override_reason, override_until, changed_at, sent_at"
)
RUN = (
    "run_id, migration_id, target, mode, on_guard_loss, was, state, start_epoch, expected_workers, outcome,"
    " requested_at, heard_at, finished_at"
)
WORKER = "run_id, worker_id, joined_at, heard_at, left_outcome, acknowledged_epoch, can_undo, host, pid"
ACTION = (
    "cause_id, cause_kind, migration_id, run_id, kind, epoch, state, revision, actor, reason, verdict, trigger_id,"
    " steps_left, decided_at, requested_at, acknowledged_at, effective_at, deadline"
)
FREEZE_LOCK = 0x46524545
"""Advisory lock ("FREE"): a freeze has it alone, every change of one migration shares it, before the row's lock."""
OPEN = ("requested", "acknowledged", "unacknowledged", "held")


class Entry:
    """The ledger inside one transaction. ``now`` is the ledger server's clock: the only one that deadlines use."""

    def __init__(self, db: psycopg.Connection, settings: ActuatorSettings, partitions: int) -> None:
        self.db = db
        self.settings = settings
        self._partitions = partitions
        row = db.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        self.now: datetime = row[0]

    # rows

    def lock(self, migration_id: str) -> MigrationRow:
        """The migration's row, locked until the end of the transaction; made when it was never seen."""
        # First wait for a freeze that is under way: what is decided here must see it, or be seen by it.
        self.db.execute("SELECT pg_advisory_xact_lock_shared(hashtext(current_schema()), %s)", (FREEZE_LOCK,))
        self.db.execute("INSERT INTO migration (migration_id) VALUES (%s) ON CONFLICT DO NOTHING", (migration_id,))
        sql = f"SELECT {MIGRATION} FROM migration WHERE migration_id = %s FOR UPDATE"
        with self.db.cursor(row_factory=class_row(MigrationRow)) as cursor:
            row = cursor.execute(sql, (migration_id,)).fetchone()
        assert row is not None
        return row

    def run(self, run_id: str | None) -> RunRow | None:
        """A run, if the ledger knows it; ``heard_at`` as silence counts (see listening)."""
        with self.db.cursor(row_factory=class_row(RunRow)) as cursor:
            run = cursor.execute(f"SELECT {RUN} FROM run WHERE run_id = %s", (run_id,)).fetchone()
        if run is not None:
            run.heard_at = max(run.heard_at, self.listening_since(run.migration_id) or self.now)
        return run

    def workers(self, run: RunRow) -> list[WorkerRow]:
        """The run's workers, the first to join first; ``heard_at`` as silence counts (see listening)."""
        sql = f"SELECT {WORKER} FROM worker WHERE run_id = %s ORDER BY joined_at, worker_id"
        with self.db.cursor(row_factory=class_row(WorkerRow)) as cursor:
            workers = cursor.execute(sql, (run.run_id,)).fetchall()
        since = self.listening_since(run.migration_id) or self.now
        for worker in workers:
            worker.heard_at = max(worker.heard_at, since)
        return workers

    def listening_since(self, migration_id: str) -> datetime | None:
        """Since when an actuator reads what runners of the migration say; None while none does."""
        return listening.since(self.db, partition_of(migration_id, self._partitions), self.now, self.settings)

    def freeze(self) -> FreezeRow | None:
        """Who holds everything, if someone does."""
        with self.db.cursor(row_factory=class_row(FreezeRow)) as cursor:
            return cursor.execute("SELECT actor, reason FROM frozen").fetchone()

    def open_actions(self, migration_id: str) -> list[ActionRow]:
        """The migration's actions that are not final yet, the oldest first."""
        sql = f"SELECT {ACTION} FROM action WHERE migration_id = %s AND state = ANY(%s) ORDER BY recorded_at, epoch"
        with self.db.cursor(row_factory=class_row(ActionRow)) as cursor:
            return cursor.execute(sql, (migration_id, list(OPEN))).fetchall()

    def action(self, cause_id: str) -> ActionRow:
        """The action of a cause that is known."""
        with self.db.cursor(row_factory=class_row(ActionRow)) as cursor:
            row = cursor.execute(f"SELECT {ACTION} FROM action WHERE cause_id = %s", (cause_id,)).fetchone()
        assert row is not None
        return row

    def known(self, cause_id: str) -> bool:
        """Whether this cause was taken in before: a repeat."""
        return self.db.execute("SELECT 1 FROM action WHERE cause_id = %s", (cause_id,)).fetchone() is not None

    # what is desired

    def desire(self, m: MigrationRow, desired: Desired, set_by: str, reason: str, **also: Any) -> int:
        """Ask for another state under a new epoch, above every one ever issued or seen; owes the DesiredState."""
        m.epoch = max(m.epoch, m.seen_epoch) + 1
        m.desired, m.set_by, m.reason, m.changed_at = desired, set_by[:500], reason[:500], self.now
        for name, value in also.items():
            setattr(m, name, value)
        self.save(m)
        self.send_state(m)
        return m.epoch

    def save(self, m: MigrationRow) -> None:
        """Write the migration's row."""
        self.db.execute(
            "UPDATE migration SET run_id = %s, epoch = %s, start_epoch = %s, resumed_epoch = %s, desired = %s, set_by = %s,"
            " reason = %s, held_by = %s, held_by_freeze = %s, until = %s, undo_by = %s, undo_token = %s, override_by = %s,"
            " override_reason = %s, override_until = %s, changed_at = %s WHERE migration_id = %s",
            (
                m.run_id, m.epoch, m.start_epoch, m.resumed_epoch, m.desired, m.set_by, m.reason, m.held_by,
                m.held_by_freeze, m.until, m.undo_by, m.undo_token, m.override_by, m.override_reason, m.override_until,
                m.changed_at, m.migration_id,
            ),
        )  # fmt: skip

    def send_state(self, m: MigrationRow, answers: Answer | None = None) -> None:
        """Owe the DesiredState as it stands; an answer by itself raises no epoch."""
        assert m.run_id is not None
        self.owe(
            topics.control,
            DesiredState(
                migration_id=m.migration_id,
                run_id=m.run_id,
                epoch=m.epoch,
                start_epoch=m.start_epoch,
                resumed_epoch=m.resumed_epoch,
                desired=m.desired,
                undo_by=m.undo_by,
                undo_token=m.undo_token,
                set_by=m.set_by,
                reason=m.reason,
                until=m.override_until if m.desired == "run" else m.until,
                answers=answers,
                recovery=self._recovery(m),
                occurred_at=self.now,
            ),
        )
        self.db.execute("UPDATE migration SET sent_at = %s WHERE migration_id = %s", (self.now, m.migration_id))

    def _recovery(self, m: MigrationRow) -> Recovering | None:
        """What was told last of the undo from the log of the run that is rolled back."""
        if m.desired != "rollback":
            return None
        row = self.db.execute(
            "SELECT progress::text FROM log_undo WHERE run_id = %s AND progress IS NOT NULL"
            " ORDER BY done_at DESC NULLS FIRST LIMIT 1",
            (m.run_id,),
        ).fetchone()
        return None if row is None else Recovering.model_validate_json(row[0])

    def move_run(self, run: RunRow, state: RunState, **also: Any) -> None:
        """The run to its next state; the table of legal transitions is a foreign key."""
        run.was, run.state = run.state, state
        for name, value in also.items():
            setattr(run, name, value)
        self.db.execute(
            "UPDATE run SET was = state, state = %s, outcome = %s, finished_at = %s WHERE run_id = %s",
            (state, run.outcome, run.finished_at, run.run_id),
        )

    # actions

    def open(
        self,
        cause_id: str,
        cause_kind: CauseKind,
        kind: ActionKind,
        outcome: Outcome,
        *,
        actor: str,
        reason: str = "",
        migration_id: str | None = None,
        run_id: str | None = None,
        epoch: int | None = None,
        verdict: str = "",
        trigger_id: str | None = None,
        decided_at: datetime | None = None,
        body: str = "{}",
        quiet: bool = False,
    ) -> ActionRow:
        """Write a cause down with its first outcome, and owe its record. ``quiet``: no person is notified of it."""
        deadline = self.now + timedelta(seconds=self.settings.acknowledgement_seconds)
        action = ActionRow(
            cause_id, cause_kind, migration_id, run_id, kind, epoch, outcome, 1, actor[:500], reason[:500], verdict[:500],
            trigger_id, None, decided_at, self.now, None, self.now if outcome == "effective" else None,
            deadline if outcome == "requested" else None,
        )  # fmt: skip
        self.db.execute(
            f"INSERT INTO action ({ACTION}, body) VALUES ({', '.join(['%s'] * 19)})",
            (
                action.cause_id, action.cause_kind, action.migration_id, action.run_id, action.kind, action.epoch,
                action.state, action.revision, action.actor, action.reason, action.verdict, action.trigger_id,
                action.steps_left, action.decided_at, action.requested_at, action.acknowledged_at, action.effective_at,
                action.deadline, body,
            ),
        )  # fmt: skip
        self._record(action, quiet)
        return action

    def move(self, action: ActionRow, outcome: Outcome, reason: str = "") -> None:
        """The action to its next outcome; the table of legal transitions is a foreign key. Owes its record."""
        action.state, action.revision = outcome, action.revision + 1
        action.reason = (reason or action.reason)[:500]
        if outcome in ("acknowledged", "effective") and action.acknowledged_at is None:
            action.acknowledged_at = self.now
        if outcome == "effective":
            action.effective_at = self.now
        if outcome == "requested":
            action.deadline = self.now + timedelta(seconds=self.settings.acknowledgement_seconds)
        self.db.execute(
            "UPDATE action SET was = state, state = %s, revision = %s, reason = %s, acknowledged_at = %s, effective_at = %s,"
            " deadline = %s, steps_left = %s, recorded_at = %s WHERE cause_id = %s",
            (
                outcome, action.revision, action.reason, action.acknowledged_at, action.effective_at, action.deadline,
                action.steps_left, self.now, action.cause_id,
            ),
        )  # fmt: skip
        self._record(action)

    def supersede_open(self, m: MigrationRow, reason: str, *, but: Sequence[str] = ()) -> None:
        """What was asked under an older epoch will not come about any more."""
        for action in self.open_actions(m.migration_id):
            if action.cause_id not in but:
                self.move(action, "superseded", reason)

    def _record(self, action: ActionRow, quiet: bool = False) -> None:
        if action.state in notifications.TOLD and self.settings.notify_url.get_secret_value() and not quiet:
            notifications.owe(self.db, action, self.now)
        self.owe(
            topics.actions,
            ActionRecorded(
                cause_id=action.cause_id,
                cause_kind=action.cause_kind,
                migration_id=action.migration_id,
                run_id=action.run_id,
                kind=action.kind,
                outcome=action.state,
                epoch=action.epoch,
                actor=action.actor,
                reason=action.reason,
                verdict=action.verdict,
                trigger_id=action.trigger_id,
                steps_left=action.steps_left,
                decided_at=action.decided_at,
                requested_at=action.requested_at,
                acknowledged_at=action.acknowledged_at,
                effective_at=action.effective_at,
                revision=action.revision,
                occurred_at=self.now,
            ),
        )

    # the outbox

    def owe(self, topic: Topic[Any], record: Record, *, every_partition: bool = False) -> None:
        """A record that the relay sends after the commit, in order."""
        encoded = encode(record, source="holdfast/actuator")
        self._owe(topic.name, encoded.key, encoded.value, encoded.headers, every_partition)

    def owe_tombstone(self, m: MigrationRow, run_id: str) -> None:
        """The end of a migration's key on holdfast.control, naming the run that it closes."""
        headers = [(TOMBSTONE_RUN_ID, run_id.encode()), (TOMBSTONE_EPOCH, str(m.epoch).encode())]
        self._owe(topics.control.name, m.migration_id.encode(), None, headers, False)

    def _owe(self, topic: str, key: bytes, value: bytes | None, headers: Headers, every_partition: bool) -> None:
        self.db.execute(
            "INSERT INTO outbox (topic, every_partition, key, value, headers) VALUES (%s, %s, %s, %s, %s)",
            (topic, every_partition, key, value, json.dumps([(name, content.decode()) for name, content in headers])),
        )
