"""A run as a runner holds it, on a sink in memory: counting, reporting, leaving."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import (
    MemorySink,
    Reporter,
    RollbackRequested,
    Run,
    RunStopped,
)
from holdfast_schemas.errors import SettingsInvalid
from holdfast_schemas.events import ErrorReported, ProgressReported, RunStarted, WorkerEvent, WorkerFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunFinishRequested, RunRequested, WorkerLeft
from tests.producers.runs import last, running
from tests.producers.settings import quick
from tests.waiting import wait_for


def test_a_run_from_grant_to_end_says_what_the_contracts_ask() -> None:
    sink = MemorySink()
    with running(sink) as run:
        run.phase("backfill", total_rows=100)
        run.metric("lag_seconds", 0.5)
        with run.batch(rows=10):
            pass
        with run.batch(rows=10) as batch:
            batch.failed(rows=4, error=ValueError("bad 'x'"))
        run.finish()
    started, report = sink.of(RunStarted), last(sink)
    assert [(one.start_epoch, one.total_rows, one.target) for one in started] == [(1, 100, "t")]
    assert (report.rows_processed, report.rows_attempted, report.error_count) == (16, 20, 4)
    assert (report.phase, report.phase_rows_processed, report.phase_total_rows) == ("backfill", 16, 100)
    assert (report.start_epoch, report.applied_epoch, report.resumed_epoch) == (1, 1, 1)
    assert report.metrics == {"lag_seconds": 0.5}
    assert [(one.template, one.count) for one in sink.of(ErrorReported)] == [("bad ?", 4)]
    assert [one.outcome for one in sink.of(WorkerFinished)] == ["completed"]
    assert [one.outcome for one in sink.of(WorkerLeft)] == ["completed"]
    assert len(sink.of(RunFinishRequested)) == 1
    events = [sent.record for sent in sink.sent if isinstance(sent.record, WorkerEvent)]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], WorkerFinished)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sum(sum(one.batch_duration.counts) for one in sink.of(ProgressReported) if one.batch_duration) == 2


@pytest.mark.parametrize(
    ("raised", "counted", "outcome"),
    [
        (ValueError("x"), (0, 10, 10), "failed"),
        (KeyboardInterrupt(), (0, 0, 0), "stopped"),
        (SystemExit(1), (0, 0, 0), "stopped"),
        (asyncio.CancelledError(), (0, 0, 0), "stopped"),
        (RunStopped("m", "r", "x"), (0, 0, 0), "stopped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_exception_in_a_batch_goes_up_and_counts_what_it_should(
    raised: BaseException, counted: tuple[int, int, int], outcome: str
) -> None:
    sink = MemorySink()
    with pytest.raises(type(raised)), running(sink) as run, run.batch(rows=10):
        raise raised
    report = last(sink)
    assert (report.rows_processed, report.rows_attempted, report.error_count) == counted
    assert sink.of(WorkerLeft)[-1].outcome == outcome
    assert sink.of(WorkerFinished)[-1].outcome == outcome


def test_an_exception_counts_as_many_failed_rows_as_the_batch_said() -> None:
    sink = MemorySink()
    with running(sink) as run:
        batch = run.batch(rows=10)
        batch.__enter__()
        batch.failed(rows=2)
        batch.__exit__(ValueError, ValueError("x"), None)
    assert (last(sink).rows_attempted, last(sink).error_count) == (10, 2)


def test_progress_is_reported_without_progress() -> None:
    sink = MemorySink()
    with running(sink):
        wait_for(lambda: len(sink.of(ProgressReported)) >= 5, 5, "five reports")
    assert {report.rows_attempted for report in sink.of(ProgressReported)} == {0}


def test_an_error_is_reported_at_once() -> None:
    sink = MemorySink()
    with running(sink, interval_seconds=30.0) as run:
        wait_for(lambda: sink.of(ProgressReported), 2, "the first report")
        with pytest.raises(ValueError, match="x"), run.batch(rows=10):
            raise ValueError("x")
        wait_for(lambda: last(sink).error_count == 10, 2, "the error's report")


def test_observe_mode_reports_and_never_waits_pauses_or_raises() -> None:
    sink = MemorySink()
    sink.beating = False
    with running(sink, mode="observe") as run:
        wait_for(lambda: sink.of(RunRequested), 5, "the request")
        sink.desire("pause")
        sink.desire("rollback", undo_by=run.worker_id, undo_token=1)
        run.checkpoint()
        with run.batch(rows=5):
            pass
        with pytest.raises(RuntimeError, match="observe"):
            run.undoing(RollbackRequested("m", run.run_id, 1, ""))
    assert [one.mode for one in sink.of(RunRequested)] == ["observe"]
    assert sink.of(RunStarted)[0].start_epoch is None
    assert last(sink).start_epoch is None
    assert last(sink).rows_processed == 5


def test_a_failed_delivery_loses_nothing_and_repeats_no_number() -> None:
    sink = MemorySink()
    with running(sink) as run:
        wait_for(lambda: sink.of(ProgressReported), 5, "the first report")
        sink.broken = True
        for _ in range(50):
            with run.batch(rows=2):
                pass
        wait_for(lambda: sink._undelivered, 5, "a record in flight")
        sink.refuse_undelivered("the broker is away")
        sink.broken = False
        wait_for(lambda: last(sink).rows_processed == 100, 5, "the report after the failure")
    assert sum(sum(one.batch_duration.counts) for one in sink.of(ProgressReported) if one.batch_duration) == 50
    seqs = [sent.record.seq for sent in sink.sent if isinstance(sent.record, WorkerEvent)]
    assert seqs == sorted(set(seqs))


def test_many_kinds_of_error_are_bounded() -> None:
    sink = MemorySink()
    with running(sink) as run:
        sink.broken = True
        for index in range(100):
            run.error(type(f"Error{index}", (Exception,), {})("x"))
        sink.broken = False
    reported = sink.of(ErrorReported)
    assert sum(one.count for one in reported) == 100
    assert len(reported) <= 23


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.batch(rows=-1),
        lambda run: run.batch(rows=3).failed(rows=4),
        lambda run: run.phase(""),
        lambda run: run.metric("Bad Name", 1.0),
        lambda run: run.metric("good", float("nan")),
    ],
)
def test_what_no_contract_can_carry_is_refused_where_it_is_said(call: Callable[[Run], Any]) -> None:
    with running(MemorySink(), mode="observe") as run, pytest.raises(ValueError, match=r"rows|phase|metric"):
        call(run)


def test_names_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter(quick(), sink=MemorySink())
    with pytest.raises(SettingsInvalid, match="migration_id"):
        reporter.run("Not A Name", target="t")
    for wrong in ({"total_rows": -1}, {"rows_already_done": -1}, {"expected_workers": 0}):
        with pytest.raises(SettingsInvalid, match=next(iter(wrong))):
            reporter.run("m", target="t", **wrong)
    monkeypatch.setenv("HOLDFAST_RUN_ID", "nonsense")
    with pytest.raises(SettingsInvalid, match="HOLDFAST_RUN_ID"):
        reporter.run("m", target="t")
    shared = new_id()
    monkeypatch.setenv("HOLDFAST_RUN_ID", shared)
    assert reporter.run("m", target="t").run_id == shared


class SlowEvents(MemorySink):
    """The partition of holdfast.events is slower than that of holdfast.runs, as any two partitions may be."""

    def send(self, topic: Any, record: Any, settled: Any, partition: int | None = None) -> None:
        if topic.name == "events":
            threading.Timer(0.1, super().send, (topic, record, settled, partition)).start()
        else:
            super().send(topic, record, settled, partition)


def test_the_last_counters_are_on_the_log_before_the_ledger_hears_that_the_worker_left() -> None:
    """The ledger ends the run at WorkerLeft, and the engine refuses counters from then on."""
    sink = SlowEvents()
    with running(sink) as run:
        for _ in range(5):
            with run.batch(rows=10):
                pass
    wait_for(lambda: bool(sink.of(WorkerLeft)), 10, "the worker's leaving")
    kinds = [type(sent.record) for sent in sink.sent]
    assert kinds.index(WorkerLeft) > kinds.index(WorkerFinished)
    assert last(sink).rows_processed == 50
