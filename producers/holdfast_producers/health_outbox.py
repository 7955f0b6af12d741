"""What is observed of a target, until each partition has been told it once: a partition that is away holds no other back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast_schemas.events import HealthSampled
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now as wall_clock
from holdfast_schemas.sketch import Buckets, LatencySketch, bucket, merge
from holdfast_schemas.transport import topics

from .lane import Lane, Parcel
from .sink import Sink

MAX_METRICS = 50


@dataclass(slots=True)
class Pending:
    """What one partition has not been told yet."""

    lane: Lane
    buckets: Buckets = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    again: HealthSampled | None = None
    """Handed over and failed. It may be in the log all the same: it goes again as it was, so that its seq drops the repeat."""
    since: float = 0.0
    due: float = 0.0


class HealthOutbox:
    """Filled from any thread; emptied by the flusher's thread alone. At most one sample a partition is in flight."""

    def __init__(self, target: str, sink: Sink, interval_seconds: float, *, heartbeat: bool) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._target = target
        self._sink = sink
        self._interval_seconds = interval_seconds
        self._heartbeat = heartbeat
        self.begin_anew()

    def begin_anew(self) -> None:
        """A reporter that has said nothing: at the start, and in a forked child."""
        self._lock = threading.Lock()
        self.drained = threading.Event()
        self._reporter_id = new_id()
        self._seq = 0
        self._buckets: Buckets = {}
        self._metrics: dict[str, float] = {}
        self._partitions: list[Pending] = []
        self._asked = 0.0
        self._finishing = False

    def observe(self, nanoseconds: int) -> None:
        """Count one latency."""
        index = bucket(nanoseconds)
        with self._lock:
            self._buckets[index] = self._buckets.get(index, 0) + 1

    def set_metric(self, name: str, value: float) -> bool:
        """Note a figure for the next sample; False when it would be one too many."""
        with self._lock:
            if name not in self._metrics and len(self._metrics) >= MAX_METRICS:
                return False
            self._metrics[name] = value
            return True

    def finish(self) -> None:
        """Send what is left at once, and be drained. Nothing is taken after it."""
        self._finishing = True
        self.wake()

    @property
    def in_flight(self) -> bool:
        """Whether a sample was handed over whose delivery was not told yet."""
        return any(pending.lane.in_flight for pending in self._partitions)

    def send(self, now: float) -> float:
        """Hand over what is due; returns when the next is (monotonic seconds)."""
        if not self._partitions and not self._ask(now):
            if self._finishing:
                self.drained.set()
            return now + self._interval_seconds
        self._share()
        for pending in self._partitions:
            pending.lane.send(now)
        if self._finishing and not any(p.buckets or p.metrics or p.again or p.lane.in_flight for p in self._partitions):
            self.drained.set()
        return min(pending.due for pending in self._partitions)

    def _ask(self, now: float) -> bool:
        """How many partitions there are; asked once an interval while nobody can say."""
        if now - self._asked < self._interval_seconds and self._asked:
            return False
        self._asked = now
        for partition in range(self._sink.partitions(topics.events) or 0):
            self._partitions.append(self._pending(partition))
        return bool(self._partitions)

    def _pending(self, partition: int) -> Pending:
        lane = Lane(topics.events, self._sink, lambda now: self._next(pending, now), partition)
        pending = Pending(lane, since=time.monotonic())
        return pending

    def _share(self) -> None:
        """Give each partition what was observed since the last time."""
        with self._lock:
            buckets, self._buckets = self._buckets, {}
            metrics, self._metrics = self._metrics, {}
        for pending in self._partitions:
            merge(pending.buckets, buckets)
            newest_last = {n: v for n, v in pending.metrics.items() if n not in metrics} | metrics
            pending.metrics = dict(list(newest_last.items())[-MAX_METRICS:])

    def _next(self, pending: Pending, now: float) -> Parcel | None:
        if pending.again is not None:
            return self._parcel(pending, pending.again)
        if now < pending.due and not (self._finishing and (pending.buckets or pending.metrics)):
            return None
        if not (self._heartbeat or pending.buckets or pending.metrics):
            pending.due = now + self._interval_seconds
            return None
        buckets, pending.buckets = pending.buckets, {}
        metrics, pending.metrics = pending.metrics, {}
        since, pending.since = pending.since, now
        pending.due = now + self._interval_seconds
        self._seq += 1
        sample = HealthSampled(
            target=self._target,
            reporter_id=self._reporter_id,
            seq=self._seq,
            interval_seconds=max(0.0, now - since),
            response_time=LatencySketch.of(buckets) if buckets or self._heartbeat else None,
            metrics=metrics,
            occurred_at=wall_clock(),
        )
        return self._parcel(pending, sample)

    def _parcel(self, pending: Pending, sample: HealthSampled) -> Parcel:
        pending.again = None

        def failed() -> None:
            pending.again = sample

        return Parcel(sample, lambda: None, failed)
