"""One worker's records for one topic: in order, at most one in flight (so order holds without idempotence)."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from holdfast_schemas.record import Record
from holdfast_schemas.transport.topics import Topic

from .sink import Sink

log = logging.getLogger("holdfast.producers")
RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record to send, and what its delivery or its failure changes."""

    record: Record
    delivered: Callable[[], None]
    failed: Callable[[], None]


class Lane:
    """Sends what ``following`` gives, the next one only when the one before is settled. Used by the flusher's thread."""

    def __init__(
        self,
        topic: Topic[Any],
        sink: Sink,
        following: Callable[[float], Parcel | None],
        partition: int | None = None,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._sink = sink
        self._following = following
        self._generation = 0
        self._not_before = 0.0
        self.in_flight = False

    def send(self, now: float) -> None:
        """Hand the next record over, if none is in flight and there is one."""
        while not self.in_flight and now >= self._not_before:
            parcel = self._following(now)
            if parcel is None:
                return
            self.in_flight = True
            settled = partial(self._settled, self._generation, parcel)
            self._sink.send(self._topic, parcel.record, settled, self._partition)

    def begin_anew(self) -> None:
        """In a forked child: what was in flight is the parent's."""
        self._generation += 1
        self.in_flight = False

    def _settled(self, generation: int, parcel: Parcel, refusal: str | None) -> None:
        if generation != self._generation:
            return
        self.in_flight = False
        if refusal is None:
            parcel.delivered()
            return
        log.warning("a %s was not delivered, its content goes again: %s", type(parcel.record).__name__, refusal)
        self._not_before = time.monotonic() + RETRY_SECONDS
        parcel.failed()
