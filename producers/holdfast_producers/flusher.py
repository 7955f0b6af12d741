"""The one thread of a reporter that sends: each second, at once when something is urgent, and no faster than the floor."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from .sink import Sink

log = logging.getLogger("holdfast.producers")


class Outbox(Protocol):
    """What has records to send: a worker of a run, or a target's health."""

    wake: Callable[[], None]
    """Set by the flusher: something is due now."""
    drained: threading.Event
    """Set once nothing will follow."""

    @property
    def in_flight(self) -> bool:
        """Whether a record was handed over whose delivery was not told yet."""

    def send(self, now: float) -> float:
        """Hand over what is due; returns when the next is (monotonic seconds)."""


class Flusher:
    """Sends the outboxes of a reporter. A failure in a callback or in a logging handler never ends it."""

    def __init__(self, sink: Sink, floor_seconds: float) -> None:
        self._sink = sink
        self._floor_seconds = floor_seconds
        self._begin()

    def _begin(self) -> None:
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._outboxes: list[Outbox] = []
        self._thread: threading.Thread | None = None
        self._stopping = False

    def forked(self) -> None:
        """In a forked child: no thread, no workers; both come back with the first ``add``."""
        self._begin()

    def add(self, outbox: Outbox) -> None:
        """Send this outbox's records from now on."""
        with self._lock:
            outbox.wake = self._wake.set
            if outbox not in self._outboxes:
                self._outboxes.append(outbox)
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._loop, name="holdfast-flusher", daemon=True)
                self._thread.start()
        self._wake.set()

    def stop(self, seconds: float) -> int:
        """End the thread, waiting at most ``seconds``; returns how many records are given up."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return len(self._outboxes)
        return self._sink.close()

    def _loop(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # noqa: BLE001  reporting must outlive whatever a host's handler or a client does
                self._complain()
                time.sleep(self._floor_seconds)

    def _turn(self) -> None:
        now = time.monotonic()
        self._wake.clear()
        outboxes = self._undrained()
        due = min((outbox.send(now) for outbox in outboxes), default=now + 1.0)
        wait = max(0.0, due - time.monotonic())
        if any(outbox.in_flight for outbox in outboxes):
            self._sink.poll(self._floor_seconds)  # a delivery ends it early; an event of ours waits the floor at most
        else:
            self._sink.poll(0)  # the client's log lines come out of poll() only
            self._wake.wait(min(wait, 1.0))

    def _undrained(self) -> list[Outbox]:
        with self._lock:
            self._outboxes = [outbox for outbox in self._outboxes if not outbox.drained.is_set()]
            return list(self._outboxes)

    def _complain(self) -> None:
        with contextlib.suppress(Exception):  # the failure may be the host's logging handler itself
            log.exception("reporting goes on after a failure in the flusher")
