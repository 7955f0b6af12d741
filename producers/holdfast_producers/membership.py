"""A worker's part in a run: how it begins, joins, begins anew after a fork, and ends."""

import copy
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunRequested, WorkerJoined
from holdfast_schemas.settings import ReporterSettings
from holdfast_schemas.states import WorkerOutcome

from .counters import Counters
from .flusher import Flusher
from .gate import Patience, pass_start_gate, wait_for_guard
from .guard import Guard
from .obedience import Obedience
from .outbox import Outbox, Worker
from .sink import Follower, Sink

log = logging.getLogger("holdfast.producers")


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


class Membership:
    """One worker of one run. ``publish`` is told each time what holds the worker (None: nothing)."""

    def __init__(
        self,
        plan: Plan,
        counters: Counters,
        sink: Sink,
        flusher: Flusher,
        settings: ReporterSettings,
        publish: Callable[[str | None], None],
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.worker = Worker(plan.migration_id, plan.run_id)
        self.outbox = Outbox(self.worker, counters, sink, settings)
        self.needs_joining = False
        """This process is a forked child that has not used the run yet."""
        self._counters = counters
        self._sink = sink
        self._flusher = flusher
        self._publish = publish
        self._joining = threading.Lock()
        self._follower: Follower | None = None
        self.guard: Guard | None = None
        if settings.mode == "guard":
            self.guard = self._new_guard(Obedience(plan.run_id, self.worker.worker_id, plan.can_undo))

    def begin(self) -> None:
        """Ask for the run and pass the start gate; in observe mode tell of it and go on.

        Raises RunRefused, RunAlreadyLive, RollbackRequested or GuardUnavailable; then the worker has left again.
        """
        try:
            if self.plan.joins:
                self._join()
            elif self.guard is None:
                self._flusher.add(self.outbox)
                self.outbox.say(self._request())
                self._beat_unguarded()
            else:
                self._pass_gate(self.guard)
            self._start_events()
        except BaseException as error:
            self.outbox.abandon(type(error).__name__)
            self._leave()
            raise

    def end(self, outcome: WorkerOutcome, detail: str) -> None:
        """Say so, and wait for the last reports' delivery, at most ``close_timeout_seconds``."""
        self.outbox.finish(outcome, detail)
        self._leave()

    def join_again(self, before: Callable[[], None]) -> None:
        """A forked child uses the run for the first time: it joins as a worker of its own. Raises GuardUnavailable."""
        with self._joining:
            if self.needs_joining:
                before()
                self._join()
                self._start_events()
                self.needs_joining = False
                if self.guard is None:
                    self._publish(None)

    def forked(self) -> None:
        """In a forked child: zero totals and a new worker; the parent's clients, threads and undo are not the child's."""
        self._joining = threading.Lock()
        self.needs_joining = True
        if self._follower is not None:
            self._follower.forked()
            self._follower = None
        self._counters.begin_anew()
        self.worker = Worker(self.plan.migration_id, self.plan.run_id)
        self.outbox.begin_anew(self.worker)
        if self.guard is not None:
            obedience = copy.deepcopy(self.guard.obedience)
            obedience.worker_id, obedience.undoing = self.worker.worker_id, None
            self.guard = self._new_guard(obedience)
        self._publish("this process was forked: it joins the run as a worker of its own")

    def _leave(self) -> None:
        if self._follower is not None:
            self._follower.stop(0)
        if not self.outbox.drained.wait(self.settings.close_timeout_seconds):
            log.warning("%s: the last reports are not delivered yet; is the broker up?", self.plan.migration_id)
        if self._follower is not None:
            self._follower.stop(self.settings.close_timeout_seconds)

    def _pass_gate(self, guard: Guard) -> None:
        request = self._request()
        with guard.changed:
            guard.await_answer(request.request_id)
        self._flusher.add(self.outbox)
        self.outbox.request(request)
        self._follow(guard)
        try:
            pass_start_gate(guard, self.plan.migration_id, self.settings.start_timeout_seconds)
        finally:
            self.outbox.request(None)

    def _join(self) -> None:
        self._flusher.add(self.outbox)
        who = self.worker
        self.outbox.say(who.record(WorkerJoined, can_undo=self.plan.can_undo, host=who.host, pid=who.pid))
        if self.guard is None:
            self._beat_unguarded()
            return
        self._follow(self.guard)
        wait_for_guard(self.guard, self.plan.migration_id, Patience(self.settings.start_timeout_seconds))

    def _follow(self, guard: Guard) -> None:
        if self._follower is None:
            self._follower = self._sink.follow(self.plan.migration_id, guard)
            self._follower.start()

    def _beat_unguarded(self) -> None:
        self.outbox.acknowledge(0, "running")  # no epoch is obeyed: it is the worker's heartbeat to the ledger

    def _request(self) -> RunRequested:
        plan = self.plan
        return self.worker.record(
            RunRequested,
            request_id=new_id(),
            target=plan.target,
            mode=self.settings.mode,
            on_guard_loss=self.settings.on_guard_loss,
            total_rows=plan.total_rows,
            expected_workers=plan.expected_workers,
            takeover=plan.takeover,
            can_undo=plan.can_undo,
            host=self.worker.host,
            pid=self.worker.pid,
        )

    def _start_events(self) -> None:
        plan = self.plan
        self.outbox.started(
            target=plan.target,
            mode=self.settings.mode,
            start_epoch=None if self.guard is None else self.guard.obedience.start_epoch,
            total_rows=plan.total_rows,
            total_is_estimate=plan.total_is_estimate,
            rows_already_done=plan.rows_already_done,
            expected_workers=plan.expected_workers,
        )

    def _new_guard(self, obedience: Obedience) -> Guard:
        guard = Guard(obedience, self._counters, self.outbox, self.settings, self._publish)
        guard.needs_lease = not self.plan.joins
        return guard
