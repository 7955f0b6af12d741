"""A worker's totals, under one lock, and the reports made of them. Pure: no client, no thread.

Totals are cumulative; the latency sketch is the delta since the last report handed over, and is folded back when that
report is not delivered. A report never spans two epochs or two phases: what was counted before is sealed first.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

from holdfast_schemas import sketch
from holdfast_schemas.states import WorkerState

MAX_SEALED = 64
"""Sealed reports kept while nothing is delivered; beyond that neighbours are merged under the older one's epochs."""
MAX_METRICS = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the worker stands in the loop: copied into every report."""

    state: WorkerState = "running"
    start_epoch: int | None = None
    applied_epoch: int = 0
    resumed_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted since the worker began: rows, nanoseconds."""

    rows_processed: int = 0
    rows_attempted: int = 0
    error_count: int = 0
    rows_undone: int = 0
    busy_ns: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """What the worker says that it is doing."""

    name: str | None = None
    total_rows: int | None = None
    rows_before: int = 0
    """rows_processed when the phase began."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that one ProgressReported says, consistent: taken under the lock."""

    standing: Standing
    phase: Phase
    totals: Totals
    total_rows: int | None
    total_is_estimate: bool
    since_ns: int
    until_ns: int
    buckets: sketch.Buckets
    metrics: dict[str, float] = field(default_factory=dict)


class Counters:
    """The counts of one worker. ``lock`` is the worker's only lock; what it stands for is decided elsewhere (guard)."""

    def __init__(self, total_rows: int | None = None, total_is_estimate: bool = False) -> None:
        self.lock = threading.Lock()
        self.total_rows = total_rows
        self.total_is_estimate = total_is_estimate
        self.urgent = True
        """A report is wanted at once: the first, an error, a new standing."""
        self.open_batches = 0
        self._metrics: dict[str, float] = {}
        self._standing = Standing()
        self._phase = Phase()
        self._zero()

    def _zero(self) -> None:
        self._processed = self._attempted = self._errors = self._undone = self._busy_ns = 0
        self._buckets: sketch.Buckets = {}
        self._sealed: deque[Report] = deque()
        self._taken = Totals()
        self._since_ns = time.monotonic_ns()

    def begin_anew(self) -> None:
        """In a forked child: a lock of its own (a thread may have held the old one), and zero totals."""
        self.lock = threading.Lock()
        self.open_batches = 0
        self.urgent = True
        self._phase = replace(self._phase, rows_before=0)
        self._zero()

    def add(self, rows: int, failed: int, duration_ns: int) -> None:
        """Count one batch that ended; the caller holds the lock. One latency sample a batch, weight 1."""
        self._attempted += rows
        self._processed += rows - failed
        self._busy_ns += duration_ns
        index = sketch.bucket(duration_ns)
        self._buckets[index] = self._buckets.get(index, 0) + 1
        if failed:
            self._errors += failed
            self.urgent = True

    def set_undone(self, rows: int) -> None:
        """Rows taken back so far."""
        with self.lock:
            self._undone = rows

    def set_metric(self, name: str, value: float) -> None:
        """A figure of the host's own, by its newest value. Raises ValueError beyond 50 names."""
        with self.lock:
            if name not in self._metrics and len(self._metrics) >= MAX_METRICS:
                raise ValueError(f"{name}: a run has at most {MAX_METRICS} metrics of its own")
            self._metrics[name] = value

    def begin_phase(self, name: str, total_rows: int | None) -> None:
        """A new phase, its rows from zero; the same name again only moves its total."""
        with self.lock:
            if name != self._phase.name:
                self._seal()
                self._phase = Phase(name, total_rows, self._processed)
                self.urgent = True
            else:
                self._phase = replace(self._phase, total_rows=total_rows)

    def stand(self, standing: Standing) -> None:
        """A new standing; the caller holds the lock. What was counted under the old one is sealed first."""
        if standing != self._standing:
            self._seal()
            self._standing = standing
            self.urgent = True

    @property
    def standing(self) -> Standing:
        return self._standing

    @property
    def totals(self) -> Totals:
        return Totals(self._processed, self._attempted, self._errors, self._undone, self._busy_ns)

    def take(self) -> Report:
        """The next report to hand over: the oldest sealed one, else the counts as they are."""
        with self.lock:
            if self._sealed:
                return self._sealed.popleft()
            self.urgent = False
            return self._cut()

    def give_back(self, report: Report) -> None:
        """A report that was not delivered: its sketch and interval go into the next one of the same standing."""
        with self.lock:
            following = self._sealed[0] if self._sealed else None
            if following is not None:
                if following.standing == report.standing and following.phase == report.phase:
                    self._sealed[0] = _merged(report, following)
                else:
                    self._sealed.appendleft(report)
                    self._shrink()
            elif report.standing == self._standing and report.phase == self._phase:
                sketch.merge(self._buckets, report.buckets)
                self._since_ns = report.since_ns
            else:
                self._sealed.appendleft(report)

    @property
    def sealed(self) -> bool:
        """Whether a report waits that has to go before the present counts."""
        return bool(self._sealed)

    def _seal(self) -> None:
        if self._buckets or self.totals != self._taken:
            self._sealed.append(self._cut())
            self._shrink()

    def _shrink(self) -> None:
        while len(self._sealed) > MAX_SEALED:
            oldest = self._sealed.popleft()
            self._sealed[0] = _merged(oldest, replace(self._sealed[0], standing=oldest.standing))

    def _cut(self) -> Report:
        until_ns = time.monotonic_ns()
        buckets, self._buckets = self._buckets, {}
        since_ns, self._since_ns = self._since_ns, until_ns
        self._taken = self.totals
        return Report(
            self._standing,
            self._phase,
            self._taken,
            self.total_rows,
            self.total_is_estimate,
            since_ns,
            until_ns,
            buckets,
            dict(self._metrics),
        )


def _merged(older: Report, newer: Report) -> Report:
    buckets = dict(older.buckets)
    sketch.merge(buckets, newer.buckets)
    return replace(newer, since_ns=older.since_ns, buckets=buckets)
