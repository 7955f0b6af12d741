"""Publish records with confluent-kafka, for services and consoles. (Runners have a sink of their own: producers.)"""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Message, Producer

from ..errors import BrokerUnreachable, NotDelivered, RecordTooLarge, TopicMissing
from ..record import Record
from .codec import Encoded, encode
from .security import KafkaSettings
from .topics import MAX_RECORD_BYTES, Topic

log = logging.getLogger("holdfast.publish")
PARTITION_BY_KEY = -1
"""librdkafka's RD_KAFKA_PARTITION_UA: the partitioner decides."""
CLIENT_LIMIT_BYTES = 8 * 1024 * 1024
"""librdkafka refuses from 1 MB on, and dead letters may be larger; what contracts allow is checked here."""
OnDelivery = Callable[[Any, Message], None]


class Publisher:
    """A producer that keys, encodes and partitions as the contracts say, and never loses a failure.

    Publish, then ``flush``: it raises NotDelivered for the first record that the broker did not confirm in
    ``delivery_seconds``.
    """

    def __init__(self, kafka: KafkaSettings, source: str, *, delivery_seconds: float = 10.0, **extra: Any) -> None:
        self._kafka = kafka
        self._source = source
        self._delivery_seconds = delivery_seconds
        self._failed: list[NotDelivered] = []
        self._producer = Producer(
            {
                **kafka.librdkafka(),
                "partitioner": "murmur2_random",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.max.bytes": CLIENT_LIMIT_BYTES,
                "message.timeout.ms": int(delivery_seconds * 1000),
                "topic.metadata.propagation.max.ms": 3000,
                "log_level": 0,
                **extra,
            },
            logger=log,
        )

    def publish(self, topic: Topic[Any], record: Record, *, partition: int | None = None) -> None:
        """Send one record; ``partition`` only for the topics whose partition is explicit. Raises RecordTooLarge."""
        self.publish_encoded(topic.full_name(self._kafka.topic_prefix), encode(record, source=self._source), partition)

    def publish_encoded(self, topic: str, encoded: Encoded, partition: int | None = None) -> None:
        """Send bytes that were encoded before (the outbox holds such)."""
        self.publish_bytes(topic, encoded.key, encoded.value, encoded.headers, partition)

    def publish_bytes(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        partition: int | None = None,
        limit_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        """Send bytes as they are: a tombstone has no value. Raises RecordTooLarge."""
        if value is not None and len(value) > limit_bytes:
            raise RecordTooLarge(topic, len(value), limit_bytes)
        self._producer.produce(
            topic,
            value=value,
            key=key,
            headers=list(headers),
            on_delivery=self._delivered,
            partition=PARTITION_BY_KEY if partition is None else partition,
        )
        self._producer.poll(0)

    def broadcast(self, topic: Topic[Any], record: Record) -> None:
        """Send one record to every partition of the topic."""
        for partition in range(self.partitions(topic)):
            self.publish(topic, record, partition=partition)

    def partitions(self, topic: Topic[Any]) -> int:
        """How many partitions the topic has on the broker. Raises TopicMissing, BrokerUnreachable."""
        return partitions_of(self._producer, self._kafka, topic.full_name(self._kafka.topic_prefix))

    def flush(self) -> None:
        """Wait until everything is delivered. Raises NotDelivered for the first record that was not."""
        left = self._producer.flush(self._delivery_seconds + 1)
        if self._failed:
            failed, self._failed = self._failed[0], []
            raise failed
        if left:
            raise NotDelivered("(several)", f"{left} records unconfirmed after {self._delivery_seconds:g} s")

    def forget_failures(self) -> int:
        """For records that matter only while they are fresh (beats): how many were not delivered since the last call."""
        lost, self._failed = len(self._failed), []
        return lost

    def _delivered(self, error: Any, message: Message) -> None:
        if error is not None:
            self._failed.append(NotDelivered(str(message.topic()), error.str()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()


def partitions_of(client: Any, kafka: KafkaSettings, topic: str, timeout_seconds: float = 10.0) -> int:
    """The number of a topic's partitions, read from the broker. Raises TopicMissing, BrokerUnreachable."""
    try:
        found = client.list_topics(topic, timeout=timeout_seconds).topics[topic]
    except KafkaException:
        raise BrokerUnreachable(kafka.bootstrap_servers, timeout_seconds) from None
    if found.error is not None or not found.partitions:
        raise TopicMissing(topic)
    return len(found.partitions)
