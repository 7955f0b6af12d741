"""All that one worker has to say: events for the engine, run records for the ledger. Decides what goes next, and when."""

import math
import os
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from holdfast_schemas.events import ErrorReported, ProgressReported, RunStarted, WorkerEvent, WorkerFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now as wall_clock
from holdfast_schemas.runs import EpochAcknowledged, RunnerRecord, RunRequested, UndoReported, WorkerLeft
from holdfast_schemas.settings import ReporterSettings
from holdfast_schemas.sketch import LatencySketch
from holdfast_schemas.states import WorkerOutcome, WorkerState
from holdfast_schemas.transport import topics

from .counters import Counters, Report
from .error_text import ErrorText
from .lane import Lane, Parcel
from .sink import Sink

R = TypeVar("R", bound=RunnerRecord)
MAX_KINDS_OF_ERROR = 20
MANY_KINDS = ErrorText("(other)", None, "more kinds of error than are kept apart", None)
REQUEST_SECONDS = 1.0
UNDO_SECONDS = 1.0
MAX_WAITING = 1_000


@dataclass(slots=True)
class Worker:
    """Who speaks."""

    migration_id: str
    run_id: str
    worker_id: str = field(default_factory=new_id)
    host: str = field(default_factory=lambda: socket.gethostname()[:512])
    pid: int = field(default_factory=os.getpid)

    def record(self, kind: type[R], **fields: Any) -> R:
        """A run record of this worker."""
        return kind(
            migration_id=self.migration_id,
            run_id=self.run_id,
            worker_id=self.worker_id,
            occurred_at=wall_clock(),
            **fields,
        )


class Outbox:
    """What waits to be sent for one worker. Filled from any thread; emptied by the flusher's thread alone."""

    def __init__(self, worker: Worker, counters: Counters, sink: Sink, settings: ReporterSettings) -> None:
        self.worker = worker
        self.wake: Callable[[], None] = lambda: None
        self.acknowledgement_delivered: Callable[[], None] = lambda: None
        self._counters = counters
        self._settings = settings
        self._events = Lane(topics.events, sink, self._next_event)
        self._runs = Lane(topics.runs, sink, self._next_run_record)
        self._zero()

    def _zero(self) -> None:
        self._lock = threading.Lock()
        self.drained = threading.Event()
        self._seq = 0
        self._first: Callable[[int], WorkerEvent] | None = None
        self._errors: Counter[ErrorText] = Counter()
        self._progress_at = 0.0
        self._finish: WorkerOutcome | None = None
        self._last_progress = False
        self._finished_sent = False
        self._request: RunRequested | None = None
        self._request_at = 0.0
        self._waiting: deque[RunnerRecord] = deque(maxlen=MAX_WAITING)
        self._acknowledgement: tuple[int, WorkerState] | None = None
        self._acknowledge_at = 0.0
        self._undo: UndoReported | None = None
        self._undo_at = 0.0
        self._left: WorkerLeft | None = None

    def begin_anew(self, worker: Worker) -> None:
        """In a forked child: a new worker, who has said nothing yet."""
        self.worker = worker
        self._events.begin_anew()
        self._runs.begin_anew()
        self._zero()

    # what to say, from any thread

    def started(self, **fields: Any) -> None:
        """Begin: RunStarted is the first event, and progress follows it at once."""
        self._first = lambda seq: RunStarted(**self._named(seq), **fields)
        self.wake()

    def request(self, record: RunRequested | None) -> None:
        """Ask for the run, again each second, until this is called with None."""
        with self._lock:
            self._request = record
            self._request_at = 0.0
        self.wake()

    def say(self, record: RunnerRecord) -> None:
        """Send one run record after those that wait already."""
        self._waiting.append(record)
        self.wake()

    def acknowledge(self, epoch: int, state: WorkerState) -> None:
        """The worker obeys this epoch: said now, and again every 10 s as the worker's heartbeat."""
        with self._lock:
            self._acknowledgement = (epoch, state)
            self._acknowledge_at = 0.0
        self.wake()

    def undo(self, report: UndoReported) -> None:
        """How far the undo is: at most once a second, its end at once."""
        with self._lock:
            self._undo = report
            if report.outcome != "running":
                self._undo_at = 0.0
        self.wake()

    def error(self, text: ErrorText, count: int) -> None:
        """Count one kind of error; of more than 20 kinds between two sendings the rest are counted as one."""
        with self._lock:
            known = text in self._errors or len(self._errors) < MAX_KINDS_OF_ERROR
            self._errors[text if known else MANY_KINDS] += count
        self.wake()

    def finish(self, outcome: WorkerOutcome, detail: str) -> None:
        """The worker's end: one more report, then WorkerFinished and WorkerLeft, then ``drained`` is set."""
        with self._lock:
            if self._finish is None:
                self._left = self.worker.record(WorkerLeft, outcome=outcome, detail=detail[:512])
                self._finish = outcome
        self.wake()

    def abandon(self, detail: str) -> None:
        """The run never began: WorkerLeft alone, since asking counted as joining."""
        with self._lock:
            self._request = None
            self._left = self.worker.record(WorkerLeft, outcome="failed", detail=detail[:512])
            self._finished_sent = True
        self.wake()

    # sending, on the flusher's thread

    def send(self, now: float) -> float:
        """Send what is due; return the monotonic second at which something is due next."""
        self._runs.send(now)
        self._events.send(now)
        if self._finished_sent and self._left is None and not (self._events.in_flight or self._runs.in_flight):
            self.drained.set()
        return min(self._progress_due(), self._acknowledge_at if self._acknowledgement else now + 60, now + 1.0)

    @property
    def in_flight(self) -> bool:
        return self._events.in_flight or self._runs.in_flight

    def _progress_due(self) -> float:
        if self._seq == 0:
            return math.inf  # RunStarted goes first, and wakes the flusher
        wait = self._settings.floor_seconds if self._counters.urgent else self._settings.interval_seconds
        return self._progress_at + wait

    def _next_event(self, now: float) -> Parcel | None:
        if self._first is not None:
            first, self._first = self._first, None
            return self._event(first, lambda: setattr(self, "_first", first))
        if self._seq == 0 or self._finished_sent:
            return None
        # Once the last report is out none follows: with deliveries slower than the interval they would go on for ever.
        due = not self._last_progress if self._finish is not None else now >= self._progress_due()
        if self._counters.sealed or due:
            self._progress_at = now
            self._last_progress = self._finish is not None and not self._counters.sealed
            report = self._counters.take()
            return self._event(lambda seq: self._progress(seq, report), lambda: self._progress_failed(report))
        with self._lock:
            text, count = self._errors.popitem() if self._errors else (None, 0)
        if text is not None:
            return self._event(lambda seq: self._error(seq, text, count), lambda: self.error(text, count))
        if (outcome := self._finish) is not None:
            self._finished_sent = True
            return self._event(
                lambda seq: WorkerFinished(**self._named(seq), outcome=outcome),
                lambda: setattr(self, "_finished_sent", False),
            )
        return None

    def _progress_failed(self, report: Report) -> None:
        self._counters.give_back(report)
        self._last_progress = False

    def _next_run_record(self, now: float) -> Parcel | None:
        with self._lock:
            if self._request is not None and now >= self._request_at:
                self._request_at = now + REQUEST_SECONDS
                return self._run_record(self._request.model_copy(update={"occurred_at": wall_clock()}))
            if self._waiting:
                record = self._waiting.popleft()
                return self._run_record(record, failed=lambda: self._waiting.appendleft(record))
            if self._acknowledgement is not None and now >= self._acknowledge_at:
                self._acknowledge_at = now + self._settings.acknowledgement_seconds
                epoch, state = self._acknowledgement
                said = self.worker.record(EpochAcknowledged, epoch=epoch, state=state)
                return self._run_record(said, lambda: self.acknowledgement_delivered(), self._acknowledge_again)
            if self._undo is not None and now >= self._undo_at:
                undo, self._undo, self._undo_at = self._undo, None, now + UNDO_SECONDS
                return self._run_record(undo, failed=lambda: self._undo_again(undo))
            # The ledger ends the run at the last WorkerLeft, and counters after that are refused: they go ahead of it.
            if self._left is not None and self._undo is None and self._finished_sent and not self._events.in_flight:
                left, self._left = self._left, None
                self._acknowledgement = None  # who has left is not heard any more
                return self._run_record(left, failed=lambda: setattr(self, "_left", left))
        return None

    def _acknowledge_again(self) -> None:
        self._acknowledge_at = 0.0

    def _undo_again(self, undo: UndoReported) -> None:
        with self._lock:
            self._undo = self._undo or undo
            self._undo_at = 0.0

    def _run_record(
        self,
        record: RunnerRecord,
        delivered: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
    ) -> Parcel:
        return Parcel(record, delivered, failed)

    def _event(self, make: Callable[[int], WorkerEvent], failed: Callable[[], None]) -> Parcel:
        self._seq += 1
        return Parcel(make(self._seq), lambda: None, failed)

    def _named(self, seq: int) -> dict[str, Any]:
        who = self.worker
        return {
            "migration_id": who.migration_id,
            "run_id": who.run_id,
            "worker_id": who.worker_id,
            "seq": seq,
            "occurred_at": wall_clock(),
        }

    def _error(self, seq: int, text: ErrorText, count: int) -> ErrorReported:
        return ErrorReported(
            **self._named(seq),
            sqlstate=text.sqlstate,
            error_class=text.error_class,
            template=text.template,
            message=text.message,
            count=count,
        )

    def _progress(self, seq: int, report: Report) -> ProgressReported:
        totals, standing, phase = report.totals, report.standing, report.phase
        return ProgressReported(
            **self._named(seq),
            state=standing.state,
            start_epoch=standing.start_epoch,
            applied_epoch=standing.applied_epoch,
            resumed_epoch=standing.resumed_epoch,
            phase=phase.name,
            phase_rows_processed=totals.rows_processed - phase.rows_before,
            phase_total_rows=phase.total_rows,
            total_rows=report.total_rows,
            total_is_estimate=report.total_is_estimate,
            rows_processed=totals.rows_processed,
            rows_attempted=totals.rows_attempted,
            error_count=totals.error_count,
            rows_undone=totals.rows_undone,
            busy_seconds=totals.busy_ns / 1e9,
            interval_seconds=(report.until_ns - report.since_ns) / 1e9,
            batch_duration=LatencySketch.of(report.buckets) if report.buckets else None,
            metrics=report.metrics,
        )
