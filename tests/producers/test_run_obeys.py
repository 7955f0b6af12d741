"""What a run is told, on a sink in memory: to pause, to roll back, that it is fenced, that it may not start."""

import asyncio
import threading
from itertools import pairwise
from typing import Any

import pytest

from holdfast import (
    GuardUnavailable,
    MemorySink,
    RollbackRequested,
    Run,
    RunAlreadyLive,
    RunFenced,
    RunRefused,
    RunStopped,
)
from holdfast_schemas.errors import HoldfastError
from holdfast_schemas.events import ProgressReported, RunStarted
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunRequested, UndoReported, WorkerLeft
from tests.producers.runs import acknowledged, in_thread, last, running
from tests.waiting import wait_for


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
