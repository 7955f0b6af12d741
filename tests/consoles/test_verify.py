"""`verify` and `replay`: a log that the engine itself wrote agrees; one change in it, or in the ledger, does not."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast_actuators.ledger.reading import LedgerOutcome
from holdfast_consoles.cli.evidence import collect, ledger_faults
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord
from holdfast_processors.engine.state import PartitionState
from holdfast_processors.replay import write_lines
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.events import ProgressReported, RunStarted, Tick
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.watches import Watched
from tests.consoles.conftest import Holdfast, Log
from tests.schemas.samples import LOG, RUN, SAMPLES, WORKER


def breach(migration_id: str) -> list[Any]:
    """A run's events: 200 of 1,000 rows fail, so both error-rate triggers decide."""
    said = {"migration_id": migration_id, "run_id": RUN, "worker_id": WORKER, "occurred_at": now()}
    return [
        Tick(log_id=LOG, occurred_at=now()),
        RunStarted(**said, seq=1, target="orders", start_epoch=1, total_rows=10_000),
        ProgressReported(**said, seq=2, start_epoch=1, resumed_epoch=1, total_rows=10_000),
        ProgressReported(
            **said, seq=3, start_epoch=1, resumed_epoch=1, total_rows=10_000, rows_processed=800, rows_attempted=1_000,
            error_count=200, busy_seconds=1.0, interval_seconds=1.0,
        ),
        Tick(log_id=LOG, occurred_at=now()),
    ]  # fmt: skip


@dataclass
class Judged:
    """What the engine makes of the log as it stands."""

    decisions: list[Decision] = field(default_factory=list)
    metrics: list[MigrationMetrics] = field(default_factory=list)


def judge(records: list[LogRecord]) -> Judged:
    states: dict[int, PartitionState] = {}
    judged = Judged()
    for record in records:
        output = step(states.setdefault(record.partition, PartitionState(record.partition)), record)
        judged.decisions += output.decisions
        judged.metrics += output.metrics
    return judged


def outcome(decision: Decision, **changes: Any) -> ActionRecorded:
    [sample] = SAMPLES["actions"]
    settled = {"outcome": "superseded" if decision.superseded_by else "effective", "revision": 1}
    return sample.model_copy(  # type: ignore[return-value]
        update={
            "cause_id": decision.decision_id, "migration_id": decision.migration_id, "kind": decision.action,
            "epoch": None if decision.superseded_by else 2, **settled, **changes,
        }
    )  # fmt: skip


def watched(log: Log, partition: int) -> Watched:
    """The Watched of the newest Tick: everything up to it is judged and published."""
    offsets = [r.offset for r in collect(log.kafka).records if r.partition == partition]
    [sample] = SAMPLES["watches"]
    return sample.model_copy(update={"partition": partition, "tick_offset": max(offsets)})  # type: ignore[return-value]


@pytest.fixture
def recorded(log: Log, migration_id: str) -> list[Decision]:
    """A log with everything that a processor and an actuator would have written of it."""
    events = breach(migration_id)
    for event in events:
        partition = 0
        log.write(topics.events, event, partition=partition)
    records = [r for r in collect(log.kafka).records if r.partition == 0]
    judged = judge(records)
    fresh = [d for d in judged.decisions if d.migration_id == migration_id]
    log.write(topics.decisions, *fresh, *fresh[:1])
    log.write(topics.metrics, *[m for m in judged.metrics if m.migration_id == migration_id])
    log.write(topics.actions, *[outcome(d) for d in fresh])
    log.write(topics.watches, watched(log, 0), partition=0)
    return fresh


@pytest.mark.kafka
def test_first_an_honest_log_then_each_lie_in_it(
    log: Log, holdfast: Holdfast, recorded: list[Decision], tmp_path: Path
) -> None:
    assert [d.action for d in recorded] == ["pause", "rollback"]
    honest = holdfast("verify", "--report", str(tmp_path / "report.json"))
    assert (honest.code, honest.err) == (0, ""), honest.out
    assert "the log, judged again, agrees" in honest.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["faults"]) == (True, [])
    assert report["counts"]["compared"] == 2
    assert report["counts"]["repeats"] == 1
    assert report["segments"]

    log.write(topics.actions, outcome(recorded[1], revision=2))
    twice = holdfast("verify")
    assert twice.code == 1
    assert f"cause {recorded[1].decision_id} ended 2 times" in twice.out

    log.write(topics.decisions, recorded[0].model_copy(update={"observed": 0.3}))
    different = holdfast("verify", "--json")
    assert different.code == 1
    assert any("different bytes" in fault for fault in json.loads(different.out)["faults"])

    for event in breach("orders-unheard-of"):
        log.write(topics.events, event, partition=1)
    log.write(topics.watches, watched(log, 1), partition=1)
    missing = holdfast("verify")
    assert missing.code == 1
    assert "partition 1: missing decision" in missing.out


def test_replay_prints_what_the_engine_decides(holdfast: Holdfast, tmp_path: Path, migration_id: str) -> None:
    lines = tmp_path / "events.jsonl"
    start = 1_772_366_400_000
    records = [
        LogRecord(0, n, start + 1_000 * n, event.key().encode(), event.model_dump_json().encode())
        for n, event in enumerate(breach(migration_id))
    ]
    lines.write_bytes(b"".join(write_lines(records)))
    ran = holdfast("replay", str(lines))
    assert ran.code == 0
    assert f"{migration_id}  pause by error-rate-pause: error_rate 0.200 > 0.05 over 60 s (200 of 1,000" in ran.out
    assert ran.out.endswith("2 decisions\n")
    shown = json.loads(holdfast("replay", str(lines), "--json").out)
    assert [d["action"] for d in shown] == ["pause", "rollback"]
    assert shown[0]["superseded_by"] == shown[1]["decision_id"]


@pytest.mark.parametrize("text", ["{", '{"timestamp": 1}', "\x00"])
def test_a_file_that_is_no_recorded_log_is_exit_2(holdfast: Holdfast, tmp_path: Path, text: str) -> None:
    lines = tmp_path / "events.jsonl"
    lines.write_text(text)
    ran = holdfast("replay", str(lines))
    assert ran.code == 2
    assert "line 1 is not a recorded event" in ran.err


ROW = LedgerOutcome("c-1", "orders", "pause", "effective", 4, 2)


def action(
    cause_id: str = "c-1", result: str = "effective", epoch: int | None = 4, revision: int = 2
) -> ActionRecorded:
    return ActionRecorded(
        cause_id=cause_id, cause_kind="decision", migration_id="orders", kind="pause", outcome=result, epoch=epoch,  # type: ignore[arg-type]
        actor="trigger:x", revision=revision, occurred_at=now(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "rows", "owed", "after", "fault"),
    [
        pytest.param([action()], [ROW], 0, [action()], None, id="both say the same"),
        pytest.param([action(revision=1, result="requested"), action()], [ROW], 0, [action()], None, id="newest counts"),
        pytest.param([action()], [ROW], 0, [action(), action("c-2")], None, id="the loop went on meanwhile"),
        pytest.param([], [ROW], 0, [], None, id="final, and beyond the topic's retention"),
        pytest.param([], [ROW], 1, [], None, id="still owed"),
        pytest.param([action("c-2")], [ROW], 0, [action(), action("c-2")], "not in the ledger at all", id="forged"),
        pytest.param([action(revision=3)], [ROW], 0, [action(revision=3)], "ahead of the ledger", id="ahead"),
        pytest.param([], [ROW], 0, [action(revision=1)], "was not told", id="an outcome was lost"),
        pytest.param([action(epoch=5)], [ROW], 0, [action(epoch=5)], "at epoch 5", id="another epoch"),
        pytest.param([action(result="refused")], [ROW], 0, [action(result="refused")], "refused", id="another outcome"),
    ],
)  # fmt: skip
def test_the_ledger_and_the_topic_say_the_same(
    before: list[ActionRecorded], rows: list[LedgerOutcome], owed: int, after: list[ActionRecorded], fault: str | None
) -> None:
    faults = ledger_faults(before, rows, owed, after)
    assert (faults == []) if fault is None else (len(faults) == 1 and fault in faults[0])
