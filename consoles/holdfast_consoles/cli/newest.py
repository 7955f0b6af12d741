"""The newest that the log says of each migration and each partition, taken in message by message.

`status` takes in the topics as they stand, `watch` goes on with what comes after: both see what this makes of it.
"""

import logging
from datetime import datetime

from confluent_kafka import Message

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.errors import Undecodable
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.reading import Received, received_from
from holdfast_schemas.watches import Watched

from .guard import Guard
from .shown import as_bytes

log = logging.getLogger("holdfast.cli")


class Newest:
    """Of metrics and control a record a migration, of leases and watches a record a partition."""

    def __init__(self) -> None:
        self.desired: dict[str, DesiredState] = {}
        self._figures: dict[bytes, Message] = {}
        self._decoded: dict[bytes, MigrationMetrics] = {}
        self._beats: dict[int, Received[GuardLease]] = {}
        self._renewed: dict[int, Received[GuardLease]] = {}
        self._watched: dict[int, Received[Watched]] = {}

    def take_figures(self, message: Message) -> None:
        """One of holdfast.metrics. An hour of seconds is passed over: only what is newest when it is asked for is decoded."""
        self._figures[as_bytes(message.key())] = message

    def take_desired(self, message: Message) -> None:
        """One of holdfast.control; a tombstone takes the state away.

        A state is sent again with each answer to a runner: the newest answer counts, and the time of the first sending.
        """
        name = as_bytes(message.key()).decode(errors="replace")
        value = message.value()
        if value is None:
            self.desired.pop(name, None)
            return
        try:
            state = decode(topics.control, as_bytes(value), check_key=False)
        except Undecodable as why:  # a newer release's: what older ones said still stands
            log.warning("control-%s@%s is left out: %s", message.partition(), message.offset(), why.reason)
            return
        before = self.desired.get(name)
        if before is None or state.epoch > before.epoch:
            self.desired[name] = state
        elif state.epoch == before.epoch:
            self.desired[name] = state.model_copy(update={"occurred_at": before.occurred_at})

    def take_beat(self, message: Message) -> None:
        """One of holdfast.leases."""
        beat = received_from(topics.leases, message)
        if beat is None:
            return
        self._beats[beat.partition] = beat
        if beat.record.renewed:
            self._renewed[beat.partition] = beat

    def take_watched(self, message: Message) -> None:
        """One of holdfast.watches."""
        if (watched := received_from(topics.watches, message)) is not None:
            self._watched[watched.partition] = watched

    @property
    def figures(self) -> dict[str, MigrationMetrics]:
        """The newest figures of each migration that could be decoded."""
        waiting, self._figures = self._figures, {}
        for key, message in waiting.items():
            if (received := received_from(topics.metrics, message)) is not None:
                self._decoded[key] = received.record
        return {one.migration_id: one for one in self._decoded.values()}

    def guard(self, partition: int, at: datetime) -> Guard:
        """The guard of one partition, as it was at ``at``."""
        return Guard(self._beats.get(partition), self._renewed.get(partition), self._watched.get(partition), at)
