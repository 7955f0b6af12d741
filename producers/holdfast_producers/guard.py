"""What holds a worker, and what it says about it: the order obeyed, the lease counted, the pause that is really one.

The follower's thread tells it what it heard, the runner's threads wait in it, and both under the worker's one lock. It
publishes ``hold``: None, or why the worker may not go on. Only that attribute is read on the fast path of checkpoint().
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from holdfast_schemas.desired_state import Answer, DesiredState
from holdfast_schemas.errors import HoldfastError, RollbackRequested, RunFenced, RunStopped
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.settings import ReporterSettings
from holdfast_schemas.states import WorkerState

from .counters import Counters
from .lease import LeaseCount
from .obedience import Obedience
from .outbox import Outbox

log = logging.getLogger("holdfast.producers")
LOG_SECONDS = 10.0


class Guard:
    """One worker's side of the guard. Attributes are read and written under ``changed`` (the worker's lock)."""

    def __init__(
        self,
        obedience: Obedience,
        counters: Counters,
        outbox: Outbox,
        settings: ReporterSettings,
        publish: Callable[[str | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.obedience = obedience
        self.lease = LeaseCount()
        self.changed = threading.Condition(counters.lock)
        self.answer: DesiredState | None = None
        """The newest answer to the request to run; until it is granted nothing else is heeded."""
        self._request_id: str | None = None
        self.at_end = False
        self.unreachable: str | None = None
        self.waiting = 0
        """Threads (and tasks) inside checkpoint()."""
        self.needs_lease = True
        self.held_still = False
        """Held, a thread waits, and no batch is open: from here on no batch may begin."""
        self.hold: str | None = "the guard is not there yet"
        self._counters = counters
        self._outbox = outbox
        self._settings = settings
        self._publish = publish
        self._clock = clock
        self._lapsed = False
        self._go_on_at = 0.0
        self._said: tuple[int, WorkerState] | None = None
        self._began = False
        self._log_at = clock() + LOG_SECONDS
        outbox.acknowledgement_delivered = self.acknowledged
        publish(self.hold)

    # heard, on the follower's thread

    def placed(self, partition: int, lease_offset: int) -> None:
        with self.changed:
            self.lease.partition, self.lease.from_offset = partition, lease_offset

    def reached_end(self) -> None:
        with self.changed:
            self.at_end, self.unreachable = True, None
            self._review()

    def heard(self, state: DesiredState) -> None:
        with self.changed:
            self.unreachable = None
            if self._request_id is not None:
                if state.answers is not None and state.answers.request_id == self._request_id:
                    self._take_answer(state, state.answers)
                return
            heard = self.obedience.hear(state)
            if heard == "equal" and self._said is not None:
                self._outbox.acknowledge(*self._said)
            elif heard in ("obeyed", "fenced"):
                log.info("%s: %s", self.obedience.run_id, self.obedience.why())
                self._review()

    def heard_close(self, run_id: str, epoch: int) -> None:
        with self.changed:
            if self.obedience.hear_close(run_id, epoch) == "obeyed":
                self._review()

    def beat(self, offset: int, lease: GuardLease) -> None:
        with self.changed:
            self.unreachable = None
            self.lease.beat(offset, lease)
            self._review()

    def polled(self, took_seconds: float, timeout_seconds: float) -> None:
        with self.changed:
            self.lease.polled(took_seconds, timeout_seconds)
            self._review()

    def lease_left_seconds(self) -> float:
        with self.changed:
            return self.lease.left_seconds()

    def cannot_follow(self, why: str) -> None:
        with self.changed:
            self.unreachable = why
            self._review()

    def acknowledged(self) -> None:
        """An acknowledgement was delivered (flusher's thread)."""
        with self.changed:
            self.lease.acknowledged(self._clock())
            self._review()

    # decided, under the lock

    def await_answer(self, request_id: str) -> None:
        """Heed only the answer to this request from here on; the caller holds the lock."""
        self._request_id = request_id

    def answered(self) -> tuple[DesiredState, Answer]:
        """Take the answer that has come; the caller holds the lock."""
        state, self.answer = self.answer, None
        if state is None or state.answers is None:
            raise RuntimeError("no answer has come")
        return state, state.answers

    def _take_answer(self, state: DesiredState, answer: Answer) -> None:
        """A grant is the first order: it holds at once, so that an order right behind it is heeded too."""
        self.answer = state
        if answer.result == "granted":
            self._request_id = None
            self.obedience.grant(state)
        self._review()

    def batch_closed(self) -> None:
        """The last open batch ended while the worker is held; the caller holds the lock."""
        self._review()

    def _review(self) -> None:
        now = self._clock()
        hold = self._reason_to_hold(now)
        if hold is None:
            self.held_still = False
        elif self._nothing_runs() or self.obedience.verdict() == "fenced":
            self.held_still = True
        obedience = self.obedience
        if obedience.state is not None and (obedience.verdict() == "go" or self.held_still):
            obedience.apply()
        self._stand()
        if hold != self.hold:
            self._log(hold, now)
            self.hold = hold
            self._publish(hold)
        self.changed.notify_all()

    def _nothing_runs(self) -> bool:
        """A pause is one only when a thread waits in checkpoint() and no batch is open."""
        return self._counters.open_batches == 0 and (self.waiting > 0 or self.obedience.undoing is not None)

    def _reason_to_hold(self, now: float) -> str | None:
        if self.obedience.verdict() != "go":
            return self.obedience.why()
        if not self.at_end:
            return "holdfast.control is not yet read to its end"
        if self.needs_lease:
            return self._without_lease(now)
        return None

    def _without_lease(self, now: float) -> str | None:
        """Rule 12: no lease after a first one pauses at the next checkpoint; on its return runs go on spread."""
        lease = self.lease
        if not lease.granted:
            return self.missing_link()
        if lease.held(now):
            if self._lapsed:
                self._lapsed = False
                self._go_on_at = now + random.uniform(0, self._settings.guard_return_spread_seconds)
            return None if now >= self._go_on_at else "the guard is back; runs go on one after another"
        self._lapsed = self._lapsed or not lease.renewed()
        return self.missing_link() if self._settings.on_guard_loss == "pause" else None

    def _stand(self) -> None:
        state: WorkerState = "paused" if self.held_still else "running"
        if self.obedience.undoing is not None:
            state = "rolling_back"
        obedience = self.obedience
        standing = replace(
            self._counters.standing,
            state=state,
            start_epoch=obedience.start_epoch,
            applied_epoch=obedience.applied_epoch,
            resumed_epoch=obedience.resumed_epoch,
        )
        self._counters.stand(standing)
        if obedience.state is not None and (said := (obedience.applied_epoch, state)) != self._said:
            self._said = said
            self._outbox.acknowledge(*said)

    def missing_link(self) -> str:
        """Which part of the loop is missing."""
        return self.unreachable or self.lease.missing_link(self._clock())

    def _log(self, hold: str | None, now: float) -> None:
        if hold is None:
            log.info("run %s goes on", self.obedience.run_id)
        elif (self.hold is None and self._began) or now >= self._log_at:
            log.warning("run %s holds at its next checkpoint: %s", self.obedience.run_id, hold)
        else:
            return
        self._began = True
        self._log_at = now + LOG_SECONDS

    # waited for, on the runner's threads

    def order(self, migration_id: str) -> HoldfastError | None:
        """What checkpoint() has to raise now; the caller holds the lock, and waits in checkpoint."""
        obedience = self.obedience
        verdict = obedience.verdict()
        if verdict == "fenced" and obedience.fenced_by is not None:
            newer = obedience.fenced_by
            return RunFenced(migration_id, obedience.run_id, newer.run_id, newer.start_epoch)
        if verdict in ("go", "wait") or not (self.held_still or obedience.closed_at is not None):
            return None
        if verdict == "undo" and obedience.state is not None:
            token = obedience.state.undo_token
            obedience.undo_tokens.add(token)
            return RollbackRequested(migration_id, obedience.run_id, token, obedience.state.reason)
        return RunStopped(migration_id, obedience.run_id, obedience.why(), obedience.undoer)

    def arrive(self) -> None:
        """A thread begins to wait; the caller holds the lock."""
        self.waiting += 1
        self._review()

    def leave(self) -> None:
        """A thread waits no longer; the caller holds the lock."""
        self.waiting -= 1

    def undoing(self, token: int | None) -> None:
        """The undo under this token begins here, or (None) ends here."""
        with self.changed:
            self.obedience.undoing = token
            self._review()
