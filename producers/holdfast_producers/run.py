"""One worker of one run, as the runner holds it: batches, phases, checkpoints, and its end."""

import asyncio
import math
import re
from types import TracebackType
from typing import TYPE_CHECKING, Self

from holdfast_schemas.errors import RollbackRequested, RunFenced, RunStopped
from holdfast_schemas.runs import RunFinishRequested
from holdfast_schemas.states import WorkerOutcome

from .batch import Batch
from .counters import Counters
from .error_text import describe
from .forking import begin_anew_after_fork
from .guard import Guard
from .membership import Membership, Plan
from .undoing import Undo

if TYPE_CHECKING:
    from .reporter import Reporter

METRIC_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
PHASE_CHARACTERS = 100
ASYNC_POLL_SECONDS = 0.05


class Run:
    """``with reporter.run(...) as run``. Safe to share between threads; a forked child becomes a worker of its own."""

    def __init__(self, reporter: "Reporter", plan: Plan) -> None:
        self._reporter = reporter
        self._counters = Counters(plan.total_rows, plan.total_is_estimate)
        self._hold: str | None = None
        self._active = False
        self._stopped = False
        """An order ended this worker's part: leaving the ``with`` in peace does not complete the run."""
        self._forked_off = False
        """This process was forked inside the ``with``: the end of the run is its parent's to tell."""
        self._member = Membership(
            plan, self._counters, reporter.sink, reporter.flusher, reporter.settings.reporter, self._publish_hold
        )
        begin_anew_after_fork(self)

    @property
    def migration_id(self) -> str:
        return self._member.plan.migration_id

    @property
    def run_id(self) -> str:
        """The attempt; every process that shares it (HOLDFAST_RUN_ID) works on the same run."""
        return self._member.plan.run_id

    @property
    def worker_id(self) -> str:
        """This process's part of the run: new at every start and after a fork."""
        return self._member.worker.worker_id

    # counting

    def batch(self, rows: int) -> Batch:
        """Count and time one batch of ``rows`` rows: ``with run.batch(rows=500) as batch:``."""
        if rows < 0:
            raise ValueError(f"batch(rows={rows}): a number of rows is not negative")
        return Batch(self, rows)

    def phase(self, name: str, total_rows: int | None = None) -> None:
        """What the run does from here on; its rows are counted from zero, of ``total_rows`` where that is known."""
        if not 0 < len(name) <= PHASE_CHARACTERS:
            raise ValueError(f"phase {name!r}: 1 to {PHASE_CHARACTERS} characters")
        self._counters.begin_phase(name, total_rows)
        self._member.outbox.wake()

    def metric(self, name: str, value: float) -> None:
        """A figure of your own; the newest value goes with each report. Raises ValueError: name, NaN, over 50 names."""
        if not METRIC_NAME.match(name) or not math.isfinite(value):
            raise ValueError(f"metric {name!r} = {value!r}: a name is {METRIC_NAME.pattern}, a value finite")
        self._counters.set_metric(name, float(value))

    def error(self, error: BaseException, rows: int = 1) -> None:
        """Report the kind of an error that ``rows`` rows met. Rows are counted by batches, not here."""
        self._member.outbox.error(describe(error, self._member.settings.message_texts), max(rows, 1))

    # obeying

    def checkpoint(self) -> None:
        """Call it between batches. Blocks while the run is paused or without a guard.

        Raises RollbackRequested in the one thread of the one worker that takes the run back, RunStopped in the others,
        RunFenced when a newer run was granted. In observe mode it does nothing.
        """
        if self._hold is None:
            return
        self._wait()

    async def checkpoint_async(self) -> None:
        """``checkpoint()`` for asyncio: the event loop goes on while the run is paused."""
        if self._hold is None:
            return
        if self._member.needs_joining:
            await asyncio.to_thread(self._join_again)
        guard = self._member.guard
        if guard is None:
            return
        with guard.changed:
            guard.arrive()
        try:
            while True:
                with guard.changed:
                    self._raise_order(guard)
                    if guard.hold is None:
                        return
                await asyncio.sleep(ASYNC_POLL_SECONDS)
        finally:
            with guard.changed:
                guard.leave()

    def _wait(self) -> None:
        if self._member.needs_joining:
            self._join_again()
        guard = self._member.guard
        if guard is None:
            return
        with guard.changed:
            guard.arrive()
            try:
                while guard.hold is not None:
                    self._raise_order(guard)
                    guard.changed.wait(1.0)
            finally:
                guard.leave()

    def _raise_order(self, guard: Guard) -> None:
        if (order := guard.order(self.migration_id)) is not None:
            self._stopped = True
            raise order

    def open_batch(self) -> None:
        """A batch begins; blocks where a pause has been acknowledged already (another thread stands in checkpoint)."""
        counters = self._counters
        with counters.lock:
            if self._hold is None:
                counters.open_batches += 1
                return
        while not self._may_open():
            self._wait()

    async def open_batch_async(self) -> None:
        """As ``open_batch``, for ``async with run.batch(...)``."""
        while not self._may_open():
            await self.checkpoint_async()

    def _may_open(self) -> bool:
        with self._counters.lock:
            if self._hold is not None and (
                self._member.needs_joining or (self._member.guard is not None and self._member.guard.held_still)
            ):
                return False
            self._counters.open_batches += 1
            return True

    def close_batch(self, rows: int, failed: int, duration_ns: int, error: Exception | None = None) -> None:
        """A batch ended: ``rows`` attempted, ``failed`` of them failed; ``error`` went up through it."""
        if failed > rows:
            raise ValueError(f"{failed} rows failed of a batch of {rows}")
        counters = self._counters
        with counters.lock:
            counters.add(rows, failed, duration_ns)
            self._batch_is_over(counters)
        if error is not None:
            self.error(error, rows)
        if failed:
            self._member.outbox.wake()

    def abandon_batch(self) -> None:
        """A batch was interrupted: nothing is counted."""
        with self._counters.lock:
            self._batch_is_over(self._counters)

    def _batch_is_over(self, counters: Counters) -> None:
        if counters.open_batches:  # a fork inside a batch leaves the child none open
            counters.open_batches -= 1
        if self._hold is not None and counters.open_batches == 0 and self._member.guard is not None:
            self._member.guard.batch_closed()

    def _publish_hold(self, hold: str | None) -> None:
        self._hold = hold

    # undoing and ending

    def undoing(self, request: RollbackRequested) -> Undo:
        """``with run.undoing(request) as undo:`` take the run back, calling ``undo.step(...)`` after each step."""
        if self._member.guard is None:
            raise RuntimeError("a run in observe mode is never asked to roll back")
        self._stopped = True
        return Undo(self._member.guard, self._member.outbox, self._counters, self.migration_id, request)

    def finish(self) -> None:
        """The run is complete, however many workers were expected. (One that leaves its ``with`` normally need not.)"""
        self._member.outbox.say(self._member.worker.record(RunFinishRequested, outcome="completed"))

    def __enter__(self) -> Self:
        self._active = True
        self._reporter.began(self)
        try:
            self._member.begin()
        except BaseException:
            self._active = False
            self._reporter.ended(self)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(self._outcome(error), "" if error is None else type(error).__name__)

    def _outcome(self, error: BaseException | None) -> WorkerOutcome:
        if error is None:
            return "stopped" if self._stopped or self._forked_off else "completed"
        stopped = (RollbackRequested, RunStopped, RunFenced)
        return "stopped" if isinstance(error, stopped) or not isinstance(error, Exception) else "failed"

    def end_with_process(self) -> None:
        """The process ends inside the ``with``: the worker is stopped, the run is not over."""
        self._end("stopped", "the process ended")

    def _end(self, outcome: WorkerOutcome, detail: str) -> None:
        if self._active and not self._member.needs_joining:  # a forked child that did nothing has nothing to say
            self._member.end(outcome, detail)
        self._active = False
        self._reporter.ended(self)

    def forked(self) -> None:
        """In a forked child: the run goes on there as another worker, when it is used."""
        if self._active:
            self._forked_off = True
            self._member.forked()

    def _join_again(self) -> None:
        self._member.join_again(before=self._reporter.end_with_child)
