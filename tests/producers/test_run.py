"""A run as a runner holds it, on a sink in memory: counting, pausing, rolling back, leaving."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from holdfast import (
    GuardUnavailable,
    MemorySink,
    Reporter,
    RollbackRequested,
    Run,
    RunAlreadyLive,
    RunFenced,
    RunRefused,
    RunStopped,
)
from holdfast_schemas.errors import HoldfastError, SettingsInvalid
from holdfast_schemas.events import ErrorReported, ProgressReported, RunStarted, WorkerEvent, WorkerFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import EpochAcknowledged, RunFinishRequested, RunRequested, UndoReported, WorkerLeft
from tests.producers.settings import quick
from tests.waiting import wait_for


@contextmanager
def running(sink: MemorySink, **settings: Any) -> Iterator[Run]:
    with Reporter(quick(**settings), sink=sink).run("m", target="t", total_rows=100, can_undo=True) as run:
        yield run


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def catch() -> None:
        try:
            found.append(work())
        except HoldfastError as error:
            found.append(error)

    thread = threading.Thread(target=catch, daemon=True)
    thread.start()
    return thread, found


def acknowledged(sink: MemorySink) -> list[tuple[int, str]]:
    return [(record.epoch, record.state) for record in sink.of(EpochAcknowledged)]


def last(sink: MemorySink) -> ProgressReported:
    return sink.of(ProgressReported)[-1]


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


def test_a_pause_is_acknowledged_only_when_a_thread_waits_and_no_batch_is_open() -> None:
    sink = MemorySink()
    with running(sink) as run:
        run.checkpoint()
        first, second = run.batch(rows=1), run.batch(rows=1)
        first.__enter__()
        second.__enter__()
        epoch = sink.desire("pause").epoch
        first.__exit__(None, None, None)
        thread, _ = in_thread(run.checkpoint)
        count = len(sink.of(ProgressReported))
        wait_for(lambda: len(sink.of(ProgressReported)) > count + 2, 5, "reports with a batch open")
        assert last(sink).state == "running"
        assert (epoch, "paused") not in acknowledged(sink)
        second.__exit__(None, None, None)
        wait_for(lambda: (epoch, "paused") in acknowledged(sink), 5, "the acknowledgement")
        assert thread.is_alive()
        late, entered = in_thread(lambda: run.batch(rows=1).__enter__())  # passed its checkpoint before the pause
        wait_for(lambda: last(sink).state == "paused", 5, "the report of the pause")
        assert late.is_alive()
        assert entered == []
        resumed = sink.desire("run").epoch
        thread.join(5)
        late.join(5)
        assert len(entered) == 1
        wait_for(lambda: acknowledged(sink)[-1] == (resumed, "running"), 5, "the resume's acknowledgement")
        entered[0].__exit__(None, None, None)
    assert last(sink).resumed_epoch == resumed


def test_no_report_spans_two_epochs() -> None:
    sink = MemorySink()
    with running(sink) as run:
        for epoch in range(2, 12):
            for _ in range(20):
                with run.batch(rows=1):
                    pass
            sink.desire("run")
            wait_for(lambda epoch=epoch: (epoch, "running") in acknowledged(sink), 5, "the epoch")  # type: ignore[misc]
    by_epoch: dict[int, int] = {}
    for report in sink.of(ProgressReported):
        by_epoch[report.applied_epoch] = report.rows_attempted
        assert report.applied_epoch == report.resumed_epoch
    assert list(by_epoch) == sorted(by_epoch)
    assert [b - a for a, b in pairwise(by_epoch.values())] == [20] * 9 + [0]


def test_acknowledgements_are_repeated() -> None:
    sink = MemorySink()
    with running(sink, acknowledgement_seconds=0.05):
        wait_for(lambda: acknowledged(sink).count((1, "running")) >= 4, 5, "repeats")


def test_a_rollback_stops_every_thread_and_one_of_them_undoes() -> None:
    sink = MemorySink()
    with running(sink) as run:
        threads = [in_thread(run.checkpoint) for _ in range(3)]
        for thread, _ in threads:
            thread.join(5)
        first = sink.desire("rollback", reason="error_rate").epoch
        threads = [in_thread(run.checkpoint) for _ in range(3)]
        wait_for(lambda: (first, "paused") in acknowledged(sink), 5, "everybody stopped")
        assert all(thread.is_alive() for thread, _ in threads)
        second = sink.desire("rollback", undo_by=run.worker_id, undo_token=4, reason="error_rate").epoch
        for thread, _ in threads:
            thread.join(5)
        kinds = sorted(type(found[0]).__name__ for _, found in threads)
        assert kinds == ["RollbackRequested", "RunStopped", "RunStopped"]
        (request,) = [found[0] for _, found in threads if isinstance(found[0], RollbackRequested)]
        assert (request.undo_token, request.run_id, request.reason) == (4, run.run_id, "error_rate")
        with run.undoing(request) as undo:
            wait_for(lambda: (second, "rolling_back") in acknowledged(sink), 5, "the undo's acknowledgement")
            sink.beating = False  # the loss of the lease does not stop it
            undo.step(steps_left=1, rows_undone=5)
            wait_for(lambda: last(sink).state == "rolling_back" and last(sink).rows_undone == 5, 5, "its report")
    reports = sink.of(UndoReported)
    assert [(one.steps_left, one.outcome) for one in reports] == [(1, "running"), (0, "done")]
    assert sink.of(WorkerLeft)[-1].outcome == "stopped"


def test_a_higher_undo_token_stops_the_undo_and_a_failed_one_is_told() -> None:
    sink = MemorySink()
    with running(sink) as run:
        sink.desire("rollback", undo_by=run.worker_id, undo_token=1)
        with pytest.raises(RollbackRequested) as caught:
            run.checkpoint()
        with pytest.raises(RunStopped, match="token 1"), run.undoing(caught.value):  # a last step that missed the news
            sink.desire("rollback", undo_by=new_id(), undo_token=2)
        sink.desire("rollback", undo_by=run.worker_id, undo_token=3)
        with pytest.raises(RollbackRequested) as again:
            run.checkpoint()
        with pytest.raises(OSError, match="disk"), run.undoing(again.value):
            raise OSError("disk")
    outcomes = [(one.undo_token, one.outcome, one.detail) for one in sink.of(UndoReported)]
    assert outcomes[-1] == (3, "failed", "OSError")
    assert 1 not in [token for token, _, _ in outcomes]


def test_a_newer_run_fences_this_one() -> None:
    sink, newer = MemorySink(), new_id()
    with running(sink) as run:
        sink.desire("run", run_id=newer, start_epoch=2)
        with pytest.raises(RunFenced) as caught:
            run.checkpoint()
        assert caught.value.fenced_by == newer
        with pytest.raises(RunFenced):
            run.batch(rows=1).__enter__()


@pytest.mark.parametrize("on_guard_loss", ["pause", "continue"])
def test_losing_the_guard_pauses_at_the_next_checkpoint_or_not(on_guard_loss: str) -> None:
    sink = MemorySink()
    with running(sink, on_guard_loss=on_guard_loss, guard_return_spread_seconds=0.1) as run:
        run.checkpoint()
        sink.beating = False
        if on_guard_loss == "continue":
            guard = run._member.guard
            assert guard is not None
            wait_for(lambda: not guard.lease.renewed(), 5, "the lapse")
            run.checkpoint()
            return
        thread = wait_for(lambda: _blocked(run), 5, "a checkpoint that blocks")
        wait_for(lambda: acknowledged(sink)[-1] == (1, "paused"), 5, "the pause")
        sink.beating = True
        thread.join(5)
        assert not thread.is_alive()


def _blocked(run: Run) -> threading.Thread | None:
    thread, _ = in_thread(run.checkpoint)
    thread.join(0.1)
    return thread if thread.is_alive() else None


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("refused", RunRefused, "memory says"),
        ("already_live", RunAlreadyLive, "HOLDFAST_RUN_ID"),
        ("rollback", RollbackRequested, "rolled back"),
    ],
)
def test_an_answer_that_is_no_grant_is_raised_on_entry(answer: Any, error: type[HoldfastError], message: str) -> None:
    sink = MemorySink(answer=answer)
    with pytest.raises(error, match=message), running(sink):
        pytest.fail("the run began")
    assert sink.of(RunStarted) == []
    assert sink.of(WorkerLeft)[-1].outcome == "failed"


def test_waiting_starts_the_time_out_anew_until_it_is_granted() -> None:
    sink = MemorySink(answer="waiting")
    timer = threading.Timer(1.5, lambda: setattr(sink, "answer", "granted"))
    timer.start()
    with running(sink, start_timeout_seconds=1.2) as run:  # answers come each second
        run.checkpoint()
    timer.join()
    assert len({one.request_id for one in sink.of(RunRequested)}) == 1


def test_without_a_guard_the_missing_link_is_named() -> None:
    sink = MemorySink()
    sink.beating = False
    with (
        pytest.raises(GuardUnavailable, match="is holdfast actuator running") as caught,
        running(sink, start_timeout_seconds=0.3),
    ):
        pytest.fail("the run began")
    assert caught.value.exit_code == 5


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


def test_asyncio_goes_on_while_the_run_is_paused() -> None:
    sink = MemorySink()

    async def main(run: Run) -> int:
        await run.checkpoint_async()
        async with run.batch(rows=3):
            await asyncio.sleep(0)
        sink.desire("pause")
        waiting = asyncio.create_task(run.checkpoint_async())
        turns = 0
        while "paused" not in {report.state for report in sink.of(ProgressReported)}:
            turns += 1
            await asyncio.sleep(0.01)
        assert not waiting.done()
        batch = asyncio.create_task(_async_batch(run))
        await asyncio.sleep(0.05)
        assert not batch.done()
        sink.desire("run")
        await asyncio.wait_for(asyncio.gather(waiting, batch), 5)
        sink.desire("pause")
        cancelled = asyncio.create_task(run.checkpoint_async())
        await asyncio.sleep(0.02)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        sink.desire("rollback", undo_by=run.worker_id, undo_token=1)
        with pytest.raises(RollbackRequested):
            await asyncio.wait_for(run.checkpoint_async(), 5)
        return turns

    with running(sink) as run:
        assert asyncio.run(main(run)) >= 1
    assert last(sink).rows_processed == 4


async def _async_batch(run: Run) -> None:
    async with run.batch(rows=1):
        pass


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
