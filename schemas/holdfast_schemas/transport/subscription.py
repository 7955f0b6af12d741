"""A synchronous subscription to one topic: iterate it, stop, start again, and go on where it stopped."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Generic, Self, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from ..errors import BrokerUnreachable
from ..record import Record
from ..settings import Settings
from .partitioner import partition_of
from .publish import partitions_of
from .reading import Received, received_from
from .security import KafkaSettings
from .starting import TIMEOUT_SECONDS, Start, placed, resumed
from .topics import Topic

log = logging.getLogger("holdfast.subscription")
T = TypeVar("T", bound=Record)
SLICE_SECONDS = 0.2
HANDLING_SECONDS = 2.0
"""A record that is handled for longer is not waited for: its group is told that this member lives."""
MAX_POLL_SECONDS = 300.0
COMMIT_SECONDS = 1.0


class Subscription(Generic[T]):
    """The records of a topic, at least once each, for a named group.

    ::

        with Subscription(topics.decisions, group="pager") as decisions:
            for received in decisions:
                page(received.record)

    A record counts as handled when the next one is asked for, and is committed within a second of that: what raised is read
    again after a restart, and after a SIGKILL what was handled in the last second. Members of one group share the partitions;
    one that takes long over a record keeps its own and holds no other up. Without a group nothing is committed and every
    start begins at ``start``: "earliest", "latest", or a datetime (log time); with one it is where a new group begins, once.
    ``migration_id`` leaves out every record of another key. What cannot be decoded is logged and passed over.
    ``idle_seconds`` ends the iteration after that long without a record (of any key), and without getting a partition before
    the first; None waits for ever. Raises TopicMissing and BrokerUnreachable on entering. One thread may use it.
    """

    def __init__(
        self,
        topic: Topic[T],
        kafka: KafkaSettings | None = None,
        *,
        group: str | None = None,
        start: Start = "earliest",
        migration_id: str | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ValueError(f"start {start}: allowed is a time that names its offset from UTC")
        self._topic = topic
        self._kafka = kafka or Settings.load().kafka
        self._group = group
        self._start = start
        self._migration_id = migration_id
        self._idle_seconds = idle_seconds
        self._consumer: Consumer | None = None
        self._client = threading.Lock()
        """The client is used by whoever iterates, and by ``_keep`` while a record is handled."""
        self._handed: Message | None = None
        self._handed_at = 0.0
        self._paused = False
        self._lost = False
        """Whether partitions came while a record was handled, and where to begin on them could not be asked."""
        self._heard = time.monotonic()
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> Self:
        name = self._topic.full_name(self._kafka.topic_prefix)
        consumer = Consumer(self._configuration(), logger=log)
        try:
            count = partitions_of(consumer, self._kafka, name)
            if self._group is not None:
                consumer.subscribe([name], on_assign=self._on_assign)
            else:
                one = self._migration_id
                wanted = range(count) if one is None else [partition_of(one, count)]
                consumer.assign(placed(consumer, [TopicPartition(name, p) for p in wanted], self._start))
        except BaseException as error:
            consumer.close()
            if isinstance(error, KafkaException):
                raise BrokerUnreachable(self._kafka.bootstrap_servers, TIMEOUT_SECONDS) from None
            raise
        self._consumer = consumer
        self._lost = self._paused = False
        self._closing.clear()
        if self._group is not None:
            self._keeper = threading.Thread(target=self._keep, name="holdfast-subscription", daemon=True)
            self._keeper.start()
        self._heard = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        consumer, self._consumer, self._handed = self._consumer, None, None
        if consumer is not None:
            consumer.close()

    def __iter__(self) -> Iterator[Received[T]]:
        """Records as they come. Raises BrokerUnreachable when the client gives up."""
        self._open()
        while self._consumer is not None:  # it may be closed while a record is handled
            if (received := self.poll(SLICE_SECONDS)) is not None:
                yield received
            elif self.is_idle():
                return

    def poll(self, seconds: float) -> Received[T] | None:
        """The next record, waiting at most ``seconds`` for it; asking for it says that the one before is handled."""
        consumer = self._open()
        deadline = time.monotonic() + seconds
        with self._client:
            self._settle(consumer)
            if self._lost:
                raise BrokerUnreachable(self._kafka.bootstrap_servers, SLICE_SECONDS)
        while True:
            with self._client:
                try:
                    message = consumer.poll(min(SLICE_SECONDS, max(0.0, deadline - time.monotonic())))
                except KafkaException:
                    raise BrokerUnreachable(self._kafka.bootstrap_servers, SLICE_SECONDS) from None
                if message is not None and (received := self._taken(consumer, message)) is not None:
                    return received
            if time.monotonic() >= deadline:  # also amid records that are passed over
                return None

    def is_idle(self) -> bool:
        """Whether nothing came for ``idle_seconds``."""
        return self._idle_seconds is not None and time.monotonic() - self._heard >= self._idle_seconds

    def _open(self) -> Consumer:
        if self._consumer is None:
            raise RuntimeError("use the subscription in a with statement")
        return self._consumer

    def _configuration(self) -> dict[str, object]:
        return {
            **self._kafka.librdkafka(),
            "group.id": f"{self._kafka.topic_prefix}-{self._group or 'reading'}",
            "enable.auto.commit": self._group is not None,
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": round(COMMIT_SECONDS * 1000),
            "auto.offset.reset": "earliest" if self._start == "earliest" else "latest",
            "max.poll.interval.ms": round(MAX_POLL_SECONDS * 1000),
            "session.timeout.ms": round(min(45.0, MAX_POLL_SECONDS) * 1000),
            "fetch.wait.max.ms": 100,
            "log_level": 0,
        }

    def _taken(self, consumer: Consumer, message: Message) -> Received[T] | None:
        """The message as a record that is handed out; None for what is passed over, which is handled by that."""
        if message.error():
            log.warning("%s: %s", self._topic.name, message.error())
            return None
        self._heard = time.monotonic()
        received = None
        if self._migration_id is None or message.key() == self._migration_id.encode():
            received = received_from(self._topic, message)
        self._handed = message
        if received is None:
            self._settle(consumer)
        else:
            self._handed_at = time.monotonic()
        return received

    def _settle(self, consumer: Consumer) -> None:
        """The record that was handed out is handled: its offset is committed with the next round."""
        message, self._handed = self._handed, None
        if message is not None and self._group is not None:
            try:
                consumer.store_offsets(message=message)
            except KafkaException as error:
                log.info("%s-%s is another member's by now: it reads %s again (%s)",
                         self._topic.name, message.partition(), message.offset(), error)  # fmt: skip
        if self._paused:
            consumer.resume(consumer.assignment())
            self._paused = False

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(resumed(consumer, partitions, self._start))
        if self._paused:
            consumer.pause(partitions)
        self._heard = time.monotonic()  # joining took time in which nothing could come

    def _keep(self) -> None:
        """While a record is handled for long: take part in the group, so that neither it nor a rebalance waits for us."""
        while not self._closing.wait(1.0):
            with self._client:
                consumer = self._consumer
                if consumer is None or self._handed is None or time.monotonic() - self._handed_at < HANDLING_SECONDS:
                    continue
                try:
                    if not self._paused:
                        consumer.pause(consumer.assignment())
                        self._paused = True
                    early = consumer.poll(0)
                    if early is not None and not early.error():  # fetched before the pause took hold
                        consumer.seek(TopicPartition(early.topic() or "", early.partition() or 0, early.offset() or 0))
                except KafkaException as error:
                    log.warning("%s: %s", self._topic.name, error)
                    self._lost = True
