"""`status`, `history`, `explain`: what a person is told, and that nothing missing is told as a zero."""

import json
from datetime import timedelta
from typing import Any

import pytest

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.desired_state import Answer, DesiredState
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.metrics import Estimate, MigrationMetrics
from holdfast_schemas.record import Record, now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from tests.consoles.conftest import PARTITIONS, Holdfast, Log
from tests.schemas.samples import SAMPLES, VERDICT

pytestmark = pytest.mark.kafka


def like(sample: Record, **changes: Any) -> Any:
    """The contract's sample with other values."""
    return sample.model_copy(update=changes)


def metrics(migration_id: str, **changes: Any) -> MigrationMetrics:
    [sample] = SAMPLES["metrics"]
    return like(sample, migration_id=migration_id, updated_at=now(), **changes)  # type: ignore[no-any-return]


def desired(migration_id: str, **changes: Any) -> DesiredState:
    [sample] = SAMPLES["control"]
    return like(  # type: ignore[no-any-return]
        sample,
        migration_id=migration_id,
        **{"occurred_at": now(), "desired": "pause", "undo_by": None, "answers": None, "recovery": None, **changes},
    )


def beat(log: Log, migration_id: str, renewed: bool, missing: str | None = None) -> None:
    partition = partition_of(migration_id, PARTITIONS)
    lease = GuardLease(
        partition=partition, actuator="actuator-1", seq=1, renewed=renewed, missing=missing, occurred_at=now()
    )
    log.write(topics.leases, lease, partition=partition)


def test_status_tells_epoch_state_progress_estimate_rates_guard_and_what_to_type(
    log: Log, holdfast: Holdfast, migration_id: str
) -> None:
    log.write(topics.metrics, metrics(migration_id, state="paused", rows_undone=5))
    log.write(topics.control, desired(migration_id, epoch=9))
    beat(log, migration_id, renewed=True)
    ran = holdfast("status", migration_id)
    assert (ran.code, ran.err) == (0, "")
    for words in (
        f"{migration_id}#9  paused\n",
        "pause, set by trigger:error-rate-rollback",
        "4,558 of about 200,000 rows (2.3 %), phase backfill, 412 failed, 5 taken back, 1 of 2 workers live",
        "2026-03-01 13:30:00 UTC (between 2026-03-01 12:00:00 UTC and 2026-03-01 13:30:00 UTC; ready)",
        "400 rows/s, error rate 0.083, 0.0025 s a row, batches p95 12.5 ms, response time p95 absent",
        f"error-rate-pause (pause): {VERDICT}",
        "by actuator-1",
        f"holdfast resume {migration_id}#9 --reason TEXT",
        f"holdfast rollback {migration_id}#9 --reason TEXT",
    ):
        assert words in ran.out
    shown = json.loads(holdfast("status", migration_id, "--json").out)
    assert (shown["epoch"], shown["state"], shown["guarded"]) == (9, "paused", True)
    assert shown["metrics"]["error_rate"] == 0.083
    assert shown["metrics"]["response_time_p95_ms"] is None


def test_a_guard_that_is_gone_is_said_with_the_missing_link(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(topics.metrics, metrics(migration_id))
    beat(
        log, migration_id, renewed=False, missing="no Watched for partition 7 for 12 s: is holdfast processor running?"
    )
    assert "no Watched for partition 7 for 12 s: is holdfast processor running?" in holdfast("status", migration_id).out


def test_an_observed_migration_is_never_called_guarded(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(topics.metrics, metrics(migration_id, mode="observe", applied_epoch=0, start_epoch=None))
    beat(log, migration_id, renewed=True)
    ran = holdfast("status", migration_id)
    assert f"{migration_id}#0  running  OBSERVED, NOT GUARDED" in ran.out
    shown = json.loads(holdfast("status", migration_id, "--json").out)
    assert (shown["guarded"], shown["guard"]) == (False, "OBSERVED, NOT GUARDED")


def test_what_is_asked_and_not_yet_so_is_told_as_both(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(topics.metrics, metrics(migration_id, state="running"))
    log.write(topics.control, desired(migration_id))
    assert f"{migration_id}#9  running, pause requested" in holdfast("status", migration_id).out


def test_figures_of_an_earlier_run_are_not_shown_for_a_new_one(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(topics.metrics, metrics(migration_id))
    log.write(topics.control, desired(migration_id, run_id=f"{RUN_OF_TODAY}", desired="run"))
    ran = holdfast("status", migration_id)
    assert f"{migration_id}#9  starting" in ran.out
    assert "4,558" not in ran.out


def test_a_start_that_waits_says_for_what(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    answer = Answer(request_id=RUN_OF_TODAY, result="waiting", reason="required signals are not there: slow")
    log.write(topics.control, desired(migration_id, desired="none", epoch=0, answers=answer))
    ran = holdfast("status", migration_id)
    assert f"{migration_id}#0  starting" in ran.out
    assert "waits: required signals are not there: slow" in ran.out
    assert "wanted" not in ran.out


def test_a_state_that_is_sent_again_is_as_old_as_its_first_sending(
    log: Log, holdfast: Holdfast, migration_id: str
) -> None:
    first = now() - timedelta(minutes=50)
    log.write(topics.control, desired(migration_id, occurred_at=first), desired(migration_id))
    assert "set by trigger:error-rate-rollback 50 min ago" in holdfast("status", migration_id).out


RUN_OF_TODAY = "0198c0de-0000-7000-8000-0000000000ff"


def test_an_unknown_total_and_an_absent_estimate_are_said(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(
        topics.metrics,
        metrics(migration_id, total_rows=None, estimate=Estimate(state="unknown_total"), error_rate=None),
    )
    ran = holdfast("status", migration_id)
    assert "rows of an unknown total" in ran.out
    assert "none (unknown total)" in ran.out
    assert "error rate absent" in ran.out


def test_status_of_all_lists_every_migration(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(
        topics.metrics, metrics(f"{migration_id}-a"), metrics(f"{migration_id}-b", state="finished", outcome="lost")
    )
    ran = holdfast("status")
    assert f"{migration_id}-a#4  running" in ran.out
    assert f"{migration_id}-b#4  lost" in ran.out
    ids = [one["migration_id"] for one in json.loads(holdfast("status", "--json").out)]
    assert ids == sorted(ids)
    assert {f"{migration_id}-a", f"{migration_id}-b"} <= set(ids)


@pytest.mark.parametrize("command", ["status", "history", "explain"])
def test_an_unknown_migration_is_exit_4(log: Log, holdfast: Holdfast, migration_id: str, command: str) -> None:
    ran = holdfast(command, migration_id)
    assert (ran.code, ran.out) == (4, "")
    assert f"no migration {migration_id!r} is known" in ran.err


def test_history_drops_repeats_and_marks_what_is_asserted(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    [sample] = SAMPLES["actions"]
    decided: ActionRecorded = like(
        sample, migration_id=migration_id, effective_at=sample.decided_at + timedelta(seconds=0.412)
    )  # type: ignore[attr-defined]
    person: ActionRecorded = like(
        decided, cause_id="r-1", cause_kind="request", kind="resume", actor="ana@db-1", reason="mended", verdict="",
        trigger_id=None, steps_left=None,
    )  # fmt: skip
    log.write(topics.actions, decided, decided, person)
    ran = holdfast("history", migration_id)
    lines = ran.out.splitlines()
    assert len(lines) == 3
    assert "pause #4 effective, by trigger:error-rate-pause (412 ms after it was asked)" in lines[0]
    assert VERDICT in lines[0]
    assert "resume #4 effective, by ana@db-1 (asserted)" in lines[1]
    assert "nothing proves it" in lines[2]
    assert len(json.loads(holdfast("history", migration_id, "--json").out)) == 2


def test_explain_tells_decisions_with_what_became_of_them(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    [sample] = SAMPLES["decisions"]
    first: Decision = like(sample, migration_id=migration_id, decision_id="a" * 32)
    again: Decision = like(first, decision_id="b" * 32, reassertion=1)
    lost: Decision = like(first, decision_id="c" * 32, trigger_id="error-rate-rollback", action="rollback")
    [action] = SAMPLES["actions"]
    log.write(topics.metrics, metrics(migration_id, state="paused"))
    log.write(topics.control, desired(migration_id))
    log.write(topics.decisions, first, first, again, lost)
    asked = {"migration_id": migration_id, "cause_kind": "request", "actor": "ana", "verdict": "", "cause_id": "r-1"}
    log.write(
        topics.actions,
        like(action, **asked, outcome="requested", revision=1, reason="lunch"),
        like(action, **asked, outcome="effective", revision=2, reason="all stopped"),
        like(action, migration_id=migration_id, cause_id="a" * 32, outcome="requested", revision=1),
        like(action, migration_id=migration_id, cause_id="a" * 32, outcome="effective", revision=2),
        like(
            action,
            migration_id=migration_id,
            cause_id="b" * 32,
            outcome="already",
            revision=1,
            epoch=None,
            reason="paused",
        ),
    )
    ran = holdfast("explain", migration_id)
    assert ran.code == 0
    assert f"{migration_id}#9 is paused. The trigger error-rate-rollback paused it" in ran.out
    assert f"error-rate-pause decided pause: {VERDICT}. It took effect at #4" in ran.out
    assert f"for the same breach (repeat 1): {VERDICT}. There was nothing left to do (paused)." in ran.out
    assert "error-rate-rollback decided rollback" in ran.out
    assert "Nothing was recorded of it yet: is holdfast actuator running?" in ran.out
    assert "ana (asserted) asked for a pause: lunch. It took effect at #4 (all stopped)." in ran.out
    assert ran.out.count("decided pause") == 2, "a repeated decision is told once"
    shown = json.loads(holdfast("explain", migration_id, "--json").out)
    assert [d["outcome"] and d["outcome"]["outcome"] for d in shown["decisions"]] == ["effective", "already", None]
