"""A synchronous subscription to one topic: iterate it, stop, start again, and go on where it stopped."""

import logging
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from ..errors import BrokerUnreachable
from ..record import Record
from .publish import partitions_of
from .reading import Received, received_from
from .security import KafkaSettings
from .topics import Topic

log = logging.getLogger("holdfast.subscription")
T = TypeVar("T", bound=Record)
Start = Literal["earliest", "latest"]


class Subscription(Generic[T]):
    """The records of a topic, at least once each, for a named group.

    ::

        with Subscription(topics.decisions, KafkaSettings(), group="pager") as decisions:
            for received in decisions:
                page(received.record)

    A record is committed when the next one is asked for, so what raised is read again after a restart. Without a group
    nothing is committed and every start begins at ``start``. What cannot be decoded is logged and passed over.
    ``idle_seconds`` ends the iteration after that long without a record, and without getting a partition before the first;
    None waits for ever.
    """

    def __init__(
        self,
        topic: Topic[T],
        kafka: KafkaSettings,
        *,
        group: str | None = None,
        start: Start = "earliest",
        idle_seconds: float | None = None,
    ) -> None:
        self._topic = topic
        self._kafka = kafka
        self._group = group
        self._start = start
        self._idle_seconds = idle_seconds
        self._consumer: Consumer | None = None
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        name = self._topic.full_name(self._kafka.topic_prefix)
        consumer = Consumer(
            {
                **self._kafka.librdkafka(),
                "group.id": f"{self._kafka.topic_prefix}-{self._group or 'reading'}",
                "enable.auto.commit": False,
                "auto.offset.reset": self._start,
                "fetch.wait.max.ms": 100,
                "log_level": 0,
            },
            logger=log,
        )
        try:
            count = partitions_of(consumer, self._kafka, name)
            if self._group is None:
                offset = OFFSET_BEGINNING if self._start == "earliest" else OFFSET_END
                consumer.assign([TopicPartition(name, partition, offset) for partition in range(count)])
            else:
                consumer.subscribe([name], on_assign=self._on_assign)
        except BaseException:
            consumer.close()
            raise
        self._consumer = consumer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._heard = time.monotonic()  # joining took time in which nothing could come

    def __iter__(self) -> Iterator[Received[T]]:
        """Records as they come. Raises BrokerUnreachable when the client gives up."""
        if self._consumer is None:
            raise RuntimeError("use the subscription in a with statement")
        self._heard = time.monotonic()
        while self._consumer is not None:
            try:
                message = self._consumer.poll(0.2)
            except KafkaException:
                raise BrokerUnreachable(self._kafka.bootstrap_servers, 0.2) from None
            if message is None:
                if self._idle_seconds is not None and time.monotonic() - self._heard >= self._idle_seconds:
                    return
                continue
            if message.error():
                log.warning("%s: %s", self._topic.name, message.error())
                continue
            self._heard = time.monotonic()
            if (received := received_from(self._topic, message)) is not None:
                yield received
            if self._group is not None and self._consumer is not None:
                self._consumer.commit(message=message, asynchronous=False)
