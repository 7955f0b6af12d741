"""Counters, totals and what cannot be used: refused by name, its neighbours count."""

from datetime import timedelta

import pytest

from holdfast_processors.engine import keeping
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.state import PartitionState
from holdfast_schemas import events
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.sketch import LatencySketch

from .a_log import START_MS, Log, begun, decisions, judge, run_id, worker_id


def test_first_sight_of_a_worker_is_a_baseline_that_totals_show() -> None:
    log = Log()
    log.progress(10_000, 5_000)
    log.progress(1000, 60)
    log.progress(1000, 60, seq=2)  # a repeat
    state, _ = judge(log)
    assert [(d.k, d.n) for d in decisions(log)] == [(60, 1000)]
    assert state.migrations["m"].total_of("error_count") == 5_060


def test_a_report_held_back_by_an_outage_counts_when_the_broker_had_it() -> None:
    log = begun()
    log.ticks(20)
    log.progress(1000, 60, interval_seconds=20.0)
    assert [d.decided_at for d in decisions(log)] == [from_milliseconds(log.now)]
    assert decisions(log)[0].tripped_by.logged_at - from_milliseconds(START_MS) == timedelta(seconds=21)


def test_stuck_is_running_without_progress_and_a_pause_is_not() -> None:
    def state_after(seconds: int, state: str) -> str:
        log = begun()
        log.progress(10)
        for _ in range(seconds):
            log.progress(0, state=state)
            log.tick(1)
        log.progress(0)
        log.tick(1)
        return judge(log)[1][-1].metrics[-1].state

    assert state_after(30, "running") == "running"
    assert state_after(70, "running") == "stuck"
    assert state_after(70, "paused") == "running"


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"\xff\x00garbage", b"m", "not-json"),
        (b"[1, 2]", b"m", "not-json"),
        (None, b"m", "not-json"),
        (b'{"type": "Nonsense", "schema_version": "1.0"}', b"m", "unknown-type"),
        (b'{"type": "Tick", "schema_version": "9.0"}', b"~tick", "unknown-major"),
        ("no key", None, "wrong-key"),
        ("another's key", b"other", "wrong-key"),
        ("NaN", b"m", "contract-violated"),
        ("Infinity", b"m", "contract-violated"),
        ("negative", b"m", "contract-violated"),
        ("backwards", b"m", "counters-backwards"),
    ],
)
def test_bad_input_is_refused_by_name_and_its_neighbours_count(
    value: str | bytes | None, key: bytes | None, reason: str
) -> None:
    log = begun()
    log.progress(10)
    if isinstance(value, str):
        good = log.progress(10).value or b""
        log.records.pop()
        log.offset -= 1
        log.counters[("m", run_id(), worker_id())]["a"] -= 10
        value = {
            "NaN": good.replace(b'"busy_seconds":0.0', b'"busy_seconds":NaN'),
            "Infinity": good.replace(b'"busy_seconds":0.0', b'"busy_seconds":Infinity'),
            "negative": good.replace(b'"rows_attempted":20', b'"rows_attempted":-1'),
            "backwards": good.replace(b'"rows_attempted":20', b'"rows_attempted":3'),
        }.get(value, good)
    log.raw(value, key)
    bad = len(log.records) - 1
    log.progress(10)
    state, outputs = judge(log)
    rejected = outputs[bad].rejected
    assert rejected is not None
    assert rejected.reason == reason
    assert rejected.error
    assert [o.rejected for i, o in enumerate(outputs) if i != bad] == [None] * (len(outputs) - 1)
    assert state.migrations["m"].total_of("rows_attempted") == 20


@pytest.mark.parametrize(
    ("total", "expected"), [(None, ("unknown_total", False)), (0, ("overdue", True)), (5, ("overdue", True))]
)
def test_a_total_that_is_absent_zero_or_too_small_is_said(total: int | None, expected: tuple[str, bool]) -> None:
    log = begun(total_rows=total)
    log.progress(10)
    log.tick(1)
    newest = judge(log)[1][-1].metrics[-1]
    assert (newest.estimate.state, newest.total_exceeded) == expected
    assert newest.estimate.latest is None


def test_a_decision_says_the_same_bytes_again() -> None:
    log = begun()
    log.progress(1000, 120)
    assert [d.model_dump_json() for d in decisions(log)] == [d.model_dump_json() for d in decisions(log)]
    assert {d.engine_version for d in decisions(log)} == {"2"}


def test_a_foreign_tick_is_refused() -> None:
    log = begun()
    log.tick(1, log_id="0198c0de-0000-7000-8000-0000000000fe")
    rejected = judge(log)[1][-1].rejected
    assert rejected is not None
    assert rejected.reason == "foreign-log"


def test_events_of_every_type_are_read() -> None:
    """No type of the contract makes the engine raise."""
    from tests.schemas.samples import SAMPLES

    log, state = Log(), PartitionState(0)
    for event in SAMPLES["events"]:
        assert isinstance(event, events.Record)
        step(state, log.add(event))  # type: ignore[arg-type]
    assert state.position == len(log.records)


def test_absurd_counts_of_latencies_end_nothing() -> None:
    """Each count is allowed; their sum is more than 64 bits hold."""
    log = begun()
    sketch = {"buckets": [100], "counts": [2**53]}
    for _ in range(2_100):
        log.progress(1, batch_duration=LatencySketch.model_validate(sketch, strict=False))
    log.tick(6)
    log.progress(1, batch_duration=LatencySketch.model_validate(sketch, strict=False))
    state, outputs = judge(log)
    assert all(output.rejected is None for output in outputs)
    assert keeping.encode(state, "m") is not None
