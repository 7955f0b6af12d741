"""One complete sample of every record, for the golden files: every field set to something that is not its default."""

from datetime import UTC, datetime
from typing import Any

from holdfast_schemas import actions, decisions, desired_state, events, leases, metrics, requests, runs, watches
from holdfast_schemas.record import Record
from holdfast_schemas.sketch import LatencySketch
from holdfast_schemas.triggers import DEFAULT_RULES_HASH, DEFAULT_RULES_TEXT

RUN, WORKER, LOG, REQUEST = (f"0198c0de-0000-7000-8000-00000000000{n}" for n in (1, 2, 3, 4))
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
LATER = datetime(2026, 3, 1, 13, 30, 0, 0, UTC)
SKETCH = LatencySketch(buckets=(921, 944), counts=(3, 1))
WORKER_EVENT: dict[str, Any] = {
    "migration_id": "orders-add-currency",
    "run_id": RUN,
    "worker_id": WORKER,
    "seq": 7,
    "occurred_at": AT,
}
RUNNER: dict[str, Any] = {"migration_id": "orders-add-currency", "run_id": RUN, "worker_id": WORKER, "occurred_at": AT}
RUN_EVENT: dict[str, Any] = {
    "migration_id": "orders-add-currency",
    "run_id": RUN,
    "start_epoch": 3,
    "epoch": 9,
    "occurred_at": AT,
}
POSITION = decisions.LogPosition(log_id=LOG, partition=7, offset=4_960, logged_at=AT)
VERDICT = "error_rate 0.083 > 0.05 over 60 s (412 of 4,960; lower bound 0.076)"

SAMPLES: dict[str, list[Record]] = {
    "events": [
        events.RunStarted(
            **WORKER_EVENT,
            target="orders",
            mode="guard",
            start_epoch=3,
            total_rows=200_000,
            total_is_estimate=True,
            rows_already_done=10,
            expected_workers=2,
        ),
        events.ProgressReported(
            **WORKER_EVENT,
            state="paused",
            start_epoch=3,
            applied_epoch=4,
            resumed_epoch=3,
            phase="backfill",
            phase_rows_processed=90,
            phase_total_rows=100,
            total_rows=200_000,
            total_is_estimate=True,
            rows_processed=4_548,
            rows_attempted=4_960,
            error_count=412,
            rows_undone=5,
            busy_seconds=12.5,
            interval_seconds=1.0,
            batch_duration=SKETCH,
            metrics={"queue_depth": 2.5},
        ),
        events.ErrorReported(
            **WORKER_EVENT,
            sqlstate="22P02",
            error_class="psycopg.errors.InvalidTextRepresentation",
            template="invalid input syntax for type numeric: %s",
            message="redacted",
            count=3,
        ),
        events.WorkerFinished(**WORKER_EVENT, outcome="completed"),
        events.RunFinished(**RUN_EVENT, outcome="rolled_back"),
        events.RunClosed(**RUN_EVENT),
        events.Tick(occurred_at=AT, log_id=LOG),
        events.HealthSampled(
            occurred_at=AT,
            target="orders",
            reporter_id=WORKER,
            seq=2,
            interval_seconds=1.0,
            response_time=SKETCH,
            metrics={"blocked_sessions": 1.0},
        ),
        events.TriggersApplied(occurred_at=AT, version=1, rules=DEFAULT_RULES_TEXT, rules_hash=DEFAULT_RULES_HASH),
        events.CalibrationApplied(occurred_at=AT, version=1, calibration="{}"),
    ],
    "watches": [
        watches.Watched(
            partition=7,
            log_id=LOG,
            tick_offset=4_961,
            tick_at=AT,
            decisions_end=12,
            rules_version=1,
            rules_hash=DEFAULT_RULES_HASH,
            lag_seconds=0.02,
            fresh_targets=("orders",),
            occurred_at=AT,
        )
    ],
    "runs": [
        runs.RunRequested(
            **RUNNER,
            request_id=REQUEST,
            target="orders",
            mode="guard",
            on_guard_loss="continue",
            total_rows=200_000,
            expected_workers=2,
            takeover=True,
            can_undo=True,
            host="db-worker-1",
            pid=4711,
        ),
        runs.WorkerJoined(**RUNNER, can_undo=True, host="db-worker-2", pid=4712),
        runs.WorkerLeft(**RUNNER, outcome="failed", detail="OperationalError"),
        runs.RunFinishRequested(**RUNNER, outcome="completed"),
        runs.EpochAcknowledged(**RUNNER, epoch=4, state="paused"),
        runs.UndoReported(**RUNNER, undo_token=2, steps_left=17, rows_undone=900, outcome="running", detail="batch 17"),
    ],
    "metrics": [
        metrics.MigrationMetrics(
            migration_id="orders-add-currency",
            run_id=RUN,
            target="orders",
            mode="guard",
            state="running",
            start_time=AT,
            updated_at=LATER,
            current_phase="backfill",
            phase_rows_processed=4_000,
            phase_total_rows=190_000,
            liveness="alive: seconds_since_report 0 s, seconds_since_progress 1 s not > 60 s (1 of 2 workers heard)",
            seconds_since_report=0.4,
            seconds_since_progress=1.2,
            running_seconds=61.5,
            metrics={"queue_depth": 12.5},
            engine_version="2",
            rows_processed=4_548,
            rows_already_done=10,
            total_rows=200_000,
            total_is_estimate=True,
            rows_attempted=4_960,
            error_count=412,
            average_processing_time=0.0025,
            error_rate=0.083,
            rows_per_second=400.0,
            batch_duration_p95_ms=12.5,
            response_time_p95_ms=None,
            estimated_completion=LATER,
            estimate=metrics.Estimate(state="ready", earliest=AT, expected=LATER, latest=LATER),
            workers=2,
            workers_live=1,
            start_epoch=3,
            applied_epoch=4,
            resumed_epoch=3,
            triggers=(
                metrics.TriggerReading(
                    trigger_id="error-rate-pause",
                    metric="error_rate",
                    op=">",
                    threshold=0.05,
                    action="pause",
                    reading="tripped",
                    observed=0.083,
                    fast=0.09,
                    slow=0.02,
                    k=412,
                    n=4_960,
                    verdict=VERDICT,
                ),
            ),
            rules_version=1,
            log_id=LOG,
            partition=7,
            last_offset=4_960,
            refused_records=1,
        )
    ],
    "decisions": [
        decisions.Decision(
            decision_id="0123456789abcdef0123456789abcdef",
            migration_id="orders-add-currency",
            run_id=RUN,
            target="orders",
            mode="guard",
            trigger_id="error-rate-pause",
            kind="breach",
            action="pause",
            metric="error_rate",
            op=">",
            threshold=0.05,
            observed=0.08306451612903226,
            window_seconds=60.0,
            k=412,
            n=4_960,
            verdict=VERDICT,
            episode=POSITION,
            tripped_by=POSITION,
            reassertion=0,
            decided_at=AT,
            based_on_epoch=3,
            start_epoch=3,
            rules_version=1,
            rules_hash=DEFAULT_RULES_HASH,
            engine_version="1",
            superseded_by="fedcba9876543210fedcba9876543210",
            metrics=decisions.MetricsSnapshot(
                rows_processed=4_548,
                total_rows=200_000,
                rows_attempted=4_960,
                error_count=412,
                error_rate=0.083,
                rows_per_second=400.0,
                estimated_completion=LATER,
            ),
            evidence=None,
        )
    ],
    "requests": [
        requests.PersonRequest(
            request_id=REQUEST,
            kind="resume",
            migration_id="orders-add-currency",
            expected_epoch=7,
            actor="ana@db-1",
            reason="bad rows quarantined",
            until=LATER,
            occurred_at=AT,
        )
    ],
    "control": [
        desired_state.DesiredState(
            migration_id="orders-add-currency",
            run_id=RUN,
            epoch=9,
            start_epoch=3,
            resumed_epoch=7,
            desired="rollback",
            undo_by=WORKER,
            undo_token=2,
            set_by="trigger:error-rate-rollback",
            reason=VERDICT,
            until=LATER,
            answers=desired_state.Answer(request_id=REQUEST, result="granted", reason="epoch 9"),
            recovery=desired_state.Recovering(
                state="undoing", rows_undone=1_200, steps=9, steps_left=4, waits="a lock", refused="", reported_at=AT
            ),
            occurred_at=AT,
        )
    ],
    "leases": [
        leases.GuardLease(
            partition=7,
            actuator="actuator-1",
            seq=12,
            renewed=False,
            missing="no Watched for partition 7 for 12 s: is holdfast processor running?",
            occurred_at=AT,
        )
    ],
    "actions": [
        actions.ActionRecorded(
            cause_id="0123456789abcdef0123456789abcdef",
            cause_kind="decision",
            migration_id="orders-add-currency",
            run_id=RUN,
            kind="pause",
            outcome="effective",
            epoch=4,
            actor="trigger:error-rate-pause",
            reason="every live worker has acknowledged",
            verdict=VERDICT,
            trigger_id="error-rate-pause",
            steps_left=3,
            decided_at=AT,
            requested_at=AT,
            acknowledged_at=AT,
            effective_at=LATER,
            revision=3,
            occurred_at=LATER,
        )
    ],
}
