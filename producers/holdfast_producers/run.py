"""One worker of one run, as the runner holds it: batches, phases, checkpoints, and its end."""

import asyncio
import copy
import logging
import math
import re
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from holdfast_schemas.errors import RollbackRequested, RunFenced, RunStopped
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunFinishRequested, RunRequested, WorkerJoined
from holdfast_schemas.states import WorkerOutcome

from .batch import Batch
from .counters import Counters
from .error_text import describe
from .forking import begin_anew_after_fork
from .gate import Patience, pass_start_gate, wait_for_guard
from .guard import Guard
from .obedience import Obedience
from .outbox import Outbox, Worker
from .sink import Follower
from .undoing import Undo

if TYPE_CHECKING:
    from .reporter import Reporter

log = logging.getLogger("holdfast.producers")
METRIC_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
PHASE_CHARACTERS = 100
ASYNC_POLL_SECONDS = 0.05
FORKED = "this process was forked: it joins the run as a worker of its own"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is about. ``total_rows`` is exact unless ``total_is_estimate``."""

    migration_id: str
    run_id: str
    target: str
    total_rows: int | None = None
    total_is_estimate: bool = False
    rows_already_done: int = 0
    expected_workers: int = 1
    takeover: bool = False
    can_undo: bool = False
    joins: bool = False
    """Joins a run that was granted before, to undo it: no start gate, and no lease is needed."""


class Run:
    """``with reporter.run(...) as run``. Safe to share between threads; a forked child becomes a worker of its own."""

    def __init__(self, reporter: "Reporter", plan: Plan) -> None:
        self._reporter = reporter
        self._settings = reporter.settings.reporter
        self._plan = plan
        self._counters = Counters(plan.total_rows, plan.total_is_estimate)
        self._hold: str | None = None
        self._active = False
        self._undone = False
        self._needs_joining = False
        self._joining = threading.Lock()
        self._follower: Follower | None = None
        self._worker = Worker(plan.migration_id, plan.run_id)
        self._outbox = Outbox(self._worker, self._counters, reporter.sink, self._settings)
        self._guard: Guard | None = None
        if self._settings.mode == "guard":
            self._guard = self._new_guard(Obedience(plan.run_id, self._worker.worker_id, plan.can_undo))
        begin_anew_after_fork(self)

    @property
    def migration_id(self) -> str:
        return self._plan.migration_id

    @property
    def run_id(self) -> str:
        """The attempt; every process that shares it (HOLDFAST_RUN_ID) works on the same run."""
        return self._plan.run_id

    @property
    def worker_id(self) -> str:
        """This process's part of the run: new at every start and after a fork."""
        return self._worker.worker_id

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
        self._outbox.wake()

    def metric(self, name: str, value: float) -> None:
        """A figure of your own; the newest value goes with each report. Raises ValueError: name, NaN, over 50 names."""
        if not METRIC_NAME.match(name) or not math.isfinite(value):
            raise ValueError(f"metric {name!r} = {value!r}: a name is {METRIC_NAME.pattern}, a value finite")
        self._counters.set_metric(name, float(value))

    def error(self, error: BaseException, rows: int = 1) -> None:
        """Report the kind of an error that ``rows`` rows met. Rows are counted by batches, not here."""
        self._outbox.error(describe(error, self._settings.message_texts), max(rows, 1))

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
        if self._needs_joining:
            await asyncio.to_thread(self._join_again)
        guard = self._guard
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
        if self._needs_joining:
            self._join_again()
        guard = self._guard
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
            raise order

    def open_batch(self) -> None:
        """A batch begins; blocks where a pause has been acknowledged already (another thread stands in checkpoint)."""
        while not self._may_open():
            self._wait()

    async def open_batch_async(self) -> None:
        """As ``open_batch``, for ``async with run.batch(...)``."""
        while not self._may_open():
            await self.checkpoint_async()

    def _may_open(self) -> bool:
        with self._counters.lock:
            if self._hold is not None and (self._needs_joining or (self._guard is not None and self._guard.held_still)):
                return False
            self._counters.open_batches += 1
            return True

    def close_batch(self, rows: int, failed: int, duration_ns: int, error: Exception | None = None) -> None:
        """A batch ended: ``rows`` attempted, ``failed`` of them failed; ``error`` went up through it."""
        if failed > rows:
            raise ValueError(f"{failed} rows failed of a batch of {rows}")
        with self._counters.lock:
            self._counters.add(rows, failed, duration_ns)
            self._batch_is_over()
        if error is not None:
            self.error(error, rows)
        if failed:
            self._outbox.wake()

    def abandon_batch(self) -> None:
        """A batch was interrupted: nothing is counted."""
        with self._counters.lock:
            self._batch_is_over()

    def _batch_is_over(self) -> None:
        counters = self._counters
        counters.open_batches = max(0, counters.open_batches - 1)  # a fork inside a batch leaves the child none open
        if self._hold is not None and counters.open_batches == 0 and self._guard is not None:
            self._guard.batch_closed()

    # undoing and ending

    def undoing(self, request: RollbackRequested) -> Undo:
        """``with run.undoing(request) as undo:`` take the run back, calling ``undo.step(...)`` after each step."""
        if self._guard is None:
            raise RuntimeError("a run in observe mode is never asked to roll back")
        self._undone = True
        return Undo(self._guard, self._outbox, self._counters, self.migration_id, request)

    def finish(self) -> None:
        """The run is complete, however many workers were expected. (One that leaves its ``with`` normally need not.)"""
        self._outbox.say(self._worker.record(RunFinishRequested, outcome="completed"))

    def __enter__(self) -> Self:
        self._active = True
        self._reporter.began(self)
        try:
            self._begin()
        except BaseException as error:
            self._outbox.abandon(type(error).__name__)
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._needs_joining:  # a forked child that did nothing for the run has nothing to say of it
            self._active = False
            return
        self._outbox.finish(self._outcome(error), "" if error is None else type(error).__name__)
        self._end()

    def _outcome(self, error: BaseException | None) -> WorkerOutcome:
        if error is None:
            return "stopped" if self._undone else "completed"
        stopped = (RollbackRequested, RunStopped, RunFenced)
        return "stopped" if isinstance(error, stopped) or not isinstance(error, Exception) else "failed"

    def end_with_process(self) -> None:
        """The process ends inside the ``with``: the worker is stopped, the run is not over."""
        if self._active and not self._needs_joining:
            self._outbox.finish("stopped", "the process ended")
            self._end()

    def _end(self) -> None:
        self._active = False
        self._reporter.ended(self)
        if self._follower is not None:
            self._follower.stop(0)
        if not self._outbox.drained.wait(self._settings.close_timeout_seconds):
            log.warning("%s: the last reports are not delivered yet; is the broker up?", self.migration_id)
        if self._follower is not None:
            self._follower.stop(self._settings.close_timeout_seconds)

    # beginning

    def _begin(self) -> None:
        plan, guard = self._plan, self._guard
        if guard is None:
            self._reporter.flusher.add(self._outbox)
            if not plan.joins:
                self._outbox.say(self._request(new_id()))
            self._outbox.acknowledge(0, "running")  # no epoch is obeyed; it is the worker's heartbeat
            self._start_events()
            return
        self._follower = self._reporter.sink.follow(plan.migration_id, guard)
        if plan.joins:
            self._join(guard)
            return
        request = self._request(new_id())
        with guard.changed:
            guard.await_answer(request.request_id)
        self._reporter.flusher.add(self._outbox)
        self._outbox.request(request)
        self._follower.start()
        try:
            pass_start_gate(guard, plan.migration_id, request.request_id, self._settings.start_timeout_seconds)
        finally:
            self._outbox.request(None)
        self._start_events()

    def _join(self, guard: Guard | None) -> None:
        """Join a run that was granted already: after a fork, or to undo it."""
        self._reporter.flusher.add(self._outbox)
        joined = self._worker.record(
            WorkerJoined, can_undo=self._plan.can_undo, host=self._worker.host, pid=self._worker.pid
        )
        self._outbox.say(joined)
        if guard is None:
            self._outbox.acknowledge(0, "running")
            self._start_events()
            return
        if self._follower is None:
            self._follower = self._reporter.sink.follow(self.migration_id, guard)
        self._follower.start()
        wait_for_guard(guard, self.migration_id, Patience(self._settings.start_timeout_seconds))
        self._start_events()

    def _request(self, request_id: str) -> RunRequested:
        plan, settings = self._plan, self._settings
        return self._worker.record(
            RunRequested,
            request_id=request_id,
            target=plan.target,
            mode=settings.mode,
            on_guard_loss=settings.on_guard_loss,
            total_rows=plan.total_rows,
            expected_workers=plan.expected_workers,
            takeover=plan.takeover,
            can_undo=plan.can_undo,
            host=self._worker.host,
            pid=self._worker.pid,
        )

    def _start_events(self) -> None:
        plan = self._plan
        self._outbox.started(
            target=plan.target,
            mode=self._settings.mode,
            start_epoch=None if self._guard is None else self._guard.obedience.start_epoch,
            total_rows=plan.total_rows,
            total_is_estimate=plan.total_is_estimate,
            rows_already_done=plan.rows_already_done,
            expected_workers=plan.expected_workers,
        )

    def _new_guard(self, obedience: Obedience) -> Guard:
        guard = Guard(obedience, self._counters, self._outbox, self._settings, self._publish_hold)
        guard.needs_lease = not self._plan.joins
        return guard

    def _publish_hold(self, hold: str | None) -> None:
        self._hold = hold

    # forking

    def forked(self) -> None:
        """In a forked child: zero totals and a new worker, who joins when this run is used for the first time here."""
        if not self._active:
            return
        self._joining = threading.Lock()
        self._needs_joining = True
        if self._follower is not None:
            self._follower.forked()
            self._follower = None
        self._counters.begin_anew()
        self._worker = Worker(self.migration_id, self.run_id)
        self._outbox.begin_anew(self._worker)
        if self._guard is not None:
            obedience = copy.deepcopy(self._guard.obedience)
            obedience.worker_id, obedience.undoing = self._worker.worker_id, None
            self._guard = self._new_guard(obedience)
        self._hold = FORKED

    def _join_again(self) -> None:
        with self._joining:
            if self._needs_joining:
                self._reporter.end_with_child()
                self._join(self._guard)
                self._needs_joining = False
                if self._guard is None:
                    self._hold = None
