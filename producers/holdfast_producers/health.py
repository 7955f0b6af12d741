"""The health of a target as its application sees it: response times and figures, one merged sample a second."""

import atexit
import math
import weakref
from types import TracebackType
from typing import Self

from holdfast_schemas.settings import Settings

from .flusher import Flusher
from .forking import begin_anew_after_fork
from .health_outbox import MAX_METRICS, HealthOutbox
from .kafka_sink import KafkaSink
from .reporter import name_or_refusal
from .run import METRIC_NAME
from .sink import Sink


class HealthReporter:
    """Tells Holdfast how the application on ``target`` fares: ``health.observe(seconds)`` for each request.

    ::

        health = HealthReporter("orders")       # once a process
        health.observe(0.012)                   # as often as you like, from any thread

    One sample a second goes to every partition, also when nothing was observed: silence means that nobody knows, and is an
    outcome of its own. It never waits for the broker and never raises for its sake; while it is away, what is observed is
    merged, in bounded memory. A forked child begins with its own first observation. Raises SettingsInvalid here.
    """

    def __init__(
        self, target: str, settings: Settings | None = None, sink: Sink | None = None, *, heartbeat: bool = True
    ) -> None:
        """``heartbeat=False`` is for samplers: nothing is sent where nothing was observed, so that no word is no word."""
        self._settings = settings or Settings.load()
        self._sink: Sink = sink or KafkaSink(self._settings.kafka, "holdfast/health")
        self._outbox = HealthOutbox(
            name_or_refusal("HealthReporter()", "target", target),
            self._sink,
            self._settings.reporter.interval_seconds,
            heartbeat=heartbeat,
        )
        self._flusher = Flusher(self._sink, self._settings.reporter.floor_seconds)
        self._sending = self._closed = False
        begin_anew_after_fork(self)
        atexit.register(_close_at_exit, weakref.ref(self))
        self._begin()

    def observe(self, seconds: float) -> None:
        """One response took so many seconds. Raises ValueError: negative, NaN or infinite."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"observe({seconds!r}): a response time is a finite number of seconds, not below zero")
        self._outbox.observe(round(seconds * 1e9))
        if not self._sending:
            self._begin()

    def metric(self, name: str, value: float) -> None:
        """A figure of the target's, sent with the next sample and once: say it as often as it shall count as known.

        A trigger names it ``target.<name>``. Raises ValueError: a name or value that no record can carry, over 50 names.
        """
        if not METRIC_NAME.match(name) or not math.isfinite(value):
            raise ValueError(f"metric {name!r} = {value!r}: a name is {METRIC_NAME.pattern}, a value finite")
        if not self._outbox.set_metric(name, float(value)):
            raise ValueError(f"{name}: a sample has at most {MAX_METRICS} metrics")
        if not self._sending:
            self._begin()

    def close(self) -> None:
        """Send what is left, within ``close_timeout_seconds``, and stop: what is observed later is not sent. Called at exit."""
        if self._closed or not self._sending:
            return
        self._closed = True
        self._outbox.finish()
        seconds = self._settings.reporter.close_timeout_seconds
        self._outbox.drained.wait(seconds)
        self._flusher.stop(seconds)

    def forked(self) -> None:
        """In a forked child: another reporter, which has observed nothing and sends nothing yet."""
        self._sink.forked()
        self._flusher.forked()
        self._outbox.begin_anew()
        self._sending = self._closed = False

    def _begin(self) -> None:
        self._sending = True
        self._flusher.add(self._outbox)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _close_at_exit(reference: weakref.ref[HealthReporter]) -> None:
    if (reporter := reference()) is not None:
        reporter.close()
