"""A ledger on a database of the test's own, and the records that runners, triggers and people send."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision, LogPosition, MetricsSnapshot
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.runs import EpochAcknowledged, RunRequested, UndoReported, WorkerJoined, WorkerLeft
from holdfast_schemas.settings import ActuatorSettings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.triggers import DEFAULT_RULES_HASH

MIGRATION = "orders-add-currency"
SCHEMA = "holdfast"


@dataclass
class Bench:
    """A ledger, and what it owed to Kafka so far."""

    dsn: str
    ledger: Ledger
    sent: list[Any] = field(default_factory=list)
    tombstones: list[dict[str, bytes]] = field(default_factory=list)

    def drain(self) -> list[Any]:
        """Take what is owed, as the relay does; the new records."""
        fresh = []
        with self.ledger.owed() as owed:
            for row in owed.rows:
                topic = next(t for t in topics.CONTRACT_TOPICS if t.name == row.topic)
                if row.value is None:
                    self.tombstones.append(dict(row.headers))
                else:
                    fresh.append(decode(topic, row.value, row.key))
            owed.sent()
        self.sent += fresh
        return fresh

    def states(self) -> list[DesiredState]:
        self.drain()
        return [r for r in self.sent if isinstance(r, DesiredState)]

    def desired(self) -> DesiredState:
        return self.states()[-1]

    def outcomes(self, cause_id: str) -> list[str]:
        self.drain()
        return [r.outcome for r in self.sent if isinstance(r, ActionRecorded) and r.cause_id == cause_id]

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, options=f"-c search_path={SCHEMA}", autocommit=True) as db:
            cursor = db.execute(statement, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def age(self, table: str, column: str, seconds: float) -> None:
        """Let a row's time lie further back: what a test does instead of waiting."""
        self.execute(f"UPDATE {table} SET {column} = {column} - make_interval(secs => %s)", seconds)

    def listen(self) -> None:
        """Somebody has always read what runners say, and goes on: so silence counts."""
        self.execute("DELETE FROM listening")
        self.execute("INSERT INTO listening VALUES (0, 'epoch', 'infinity')")

    # what others send

    def start(self, run_id: str | None = None, **also: Any) -> RunRequested:
        asked = RunRequested(
            migration_id=MIGRATION, run_id=run_id or new_id(), worker_id=also.pop("worker_id", new_id()), request_id=new_id(),
            target="orders", occurred_at=now(), **{"can_undo": True, **also},
        )  # fmt: skip
        self.ledger.run_record(asked)
        return asked

    def join(self, run: RunRequested, *, can_undo: bool = True) -> str:
        worker_id = new_id()
        self.ledger.run_record(
            WorkerJoined(
                migration_id=MIGRATION, run_id=run.run_id, worker_id=worker_id, occurred_at=now(), can_undo=can_undo
            )
        )
        return worker_id

    def acknowledge(self, run: RunRequested, epoch: int | None = None, worker_id: str | None = None) -> None:
        state = self.desired()
        self.ledger.run_record(
            EpochAcknowledged(
                migration_id=MIGRATION, run_id=run.run_id, worker_id=worker_id or run.worker_id, occurred_at=now(),
                epoch=state.epoch if epoch is None else epoch, state="paused" if state.desired == "pause" else "running",
            )
        )  # fmt: skip

    def leave(self, run: RunRequested, outcome: Any, worker_id: str | None = None) -> None:
        self.ledger.run_record(
            WorkerLeft(
                migration_id=MIGRATION,
                run_id=run.run_id,
                worker_id=worker_id or run.worker_id,
                occurred_at=now(),
                outcome=outcome,
            )
        )

    def undone(
        self, run: RunRequested, token: int, outcome: Any = "done", left: int = 0, worker_id: str | None = None
    ) -> None:
        self.ledger.run_record(
            UndoReported(
                migration_id=MIGRATION, run_id=run.run_id, worker_id=worker_id or run.worker_id, occurred_at=now(),
                undo_token=token, steps_left=left, rows_undone=900, outcome=outcome,
            )
        )  # fmt: skip

    def decide(self, run: RunRequested, action: Any, **also: Any) -> Decision:
        decision = decision_of(run.run_id, action, self.desired().resumed_epoch, **also)
        self.ledger.decide(decision, to_milliseconds(now()))
        return decision

    def ask(self, kind: Any, epoch: int | None = None, **also: Any) -> PersonRequest:
        whole = kind in ("freeze", "unfreeze", "apply_triggers")
        asked = PersonRequest(
            request_id=new_id(), kind=kind, migration_id=None if whole else MIGRATION, expected_epoch=epoch, actor="ana",
            reason="because", occurred_at=now(), **also,
        )  # fmt: skip
        self.ledger.request(asked, to_milliseconds(now()))
        return asked


def decision_of(run_id: str, action: Any, based_on_epoch: int, **also: Any) -> Decision:
    position = LogPosition(log_id=new_id(), partition=1, offset=10, logged_at=now())
    fields: dict[str, Any] = {
        "decision_id": new_id().replace("-", ""), "migration_id": MIGRATION, "run_id": run_id, "target": "orders",
        "mode": "guard", "trigger_id": f"error-rate-{action}", "kind": "breach", "action": action, "metric": "error_rate",
        "op": ">", "threshold": 0.05, "observed": 0.08, "window_seconds": 60.0, "k": 8, "n": 100,
        "verdict": "error_rate 0.080 > 0.05 over 60 s (8 of 100; lower bound 0.041)", "episode": position,
        "tripped_by": position, "reassertion": 0, "decided_at": now(), "based_on_epoch": based_on_epoch, "start_epoch": 1,
        "rules_version": 0, "rules_hash": DEFAULT_RULES_HASH, "engine_version": "1",
        "metrics": MetricsSnapshot(rows_processed=92, total_rows=1000, rows_attempted=100, error_count=8, error_rate=0.08,
                                   rows_per_second=None, estimated_completion=None),
    }  # fmt: skip
    return Decision(**{**fields, **also})


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    ledger = Ledger(database, SCHEMA, ActuatorSettings())
    ledger.migrate()
    bench = Bench(database, ledger)
    bench.listen()
    yield bench
    ledger.close()
