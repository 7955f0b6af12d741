"""Read a topic as it stands: no group, no commits, from the beginning (or an offset) to the end that it had at the start."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..errors import BrokerUnreachable, Undecodable
from ..record import Record
from .codec import Headers, decode
from .dead_letter import header_bytes
from .partitioner import partition_of
from .publish import partitions_of
from .security import KafkaSettings
from .topics import Topic

log = logging.getLogger("holdfast.reading")
T = TypeVar("T", bound=Record)
TIMEOUT_SECONDS = 10.0
UNREADABLE_HEADERS = "holdfast_unreadable_headers"
WITHOUT_LEADER = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # what librdkafka says of one whose broker was fenced when it asked for the metadata
)


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """A record as it was read; ``timestamp_ms`` is the broker's (log time)."""

    record: T
    partition: int
    offset: int
    timestamp_ms: int
    headers: Mapping[str, bytes]


def plain_consumer(kafka: KafkaSettings, **extra: Any) -> Consumer:
    """A consumer for ``assign``: it joins no group and commits nothing. ``extra`` is librdkafka configuration."""
    return Consumer(
        {
            **kafka.librdkafka(),
            "group.id": f"{kafka.topic_prefix}-reading",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **extra,
        },
        logger=log,
    )


def messages_to_end(
    kafka: KafkaSettings, topic: str, partitions: list[int] | None = None, last: int | None = None
) -> Iterator[Message]:
    """Every message of the topic's partitions up to the ends that they had at the start, as it came.

    ``last`` begins that many offsets before each end: for topics of which only the newest records matter.
    Raises TopicMissing, BrokerUnreachable.
    """
    consumer = plain_consumer(kafka)
    try:
        count = partitions_of(consumer, kafka, topic, TIMEOUT_SECONDS)
        starts, ends = {}, {}
        for partition in range(count) if partitions is None else partitions:
            marks = watermarks(consumer, kafka, topic, partition)
            if marks[1] > marks[0]:
                ends[partition] = marks[1]
                starts[partition] = OFFSET_BEGINNING if last is None else max(marks[0], marks[1] - last)
        consumer.assign([TopicPartition(topic, partition, start) for partition, start in starts.items()])
        while ends:
            first = consumer.poll(TIMEOUT_SECONDS)
            if first is None:
                raise BrokerUnreachable(kafka.bootstrap_servers, TIMEOUT_SECONDS)
            for message in (first, *consumer.consume(1000, 0)):
                if message.error():
                    continue
                if (message.offset() or 0) < ends.get(message.partition() or 0, 0):
                    yield message
            ends = _left(consumer, topic, ends)
    except KafkaException:
        raise BrokerUnreachable(kafka.bootstrap_servers, TIMEOUT_SECONDS) from None
    finally:
        consumer.close()


def watermarks(consumer: Consumer, kafka: KafkaSettings, topic: str, partition: int) -> tuple[int, int]:
    """The first offset that the partition has, and the one after its last. Raises BrokerUnreachable.

    A topic that was just created is in the metadata before its partitions have a leader, and a failover leaves them
    without one for a moment: that is waited for.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in WITHOUT_LEADER or time.monotonic() > deadline:
                raise BrokerUnreachable(kafka.bootstrap_servers, TIMEOUT_SECONDS) from error
            time.sleep(0.05)
            continue
        if marks is None:
            raise BrokerUnreachable(kafka.bootstrap_servers, TIMEOUT_SECONDS)
        return marks


def _left(consumer: Consumer, topic: str, ends: dict[int, int]) -> dict[int, int]:
    """The partitions not yet read to their end; positions, not offsets: the last record may be a control record."""
    positions = consumer.position([TopicPartition(topic, partition) for partition in ends])
    return {at.partition: ends[at.partition] for at in positions if at.offset < ends[at.partition]}


def read_to_end(
    kafka: KafkaSettings, topic: Topic[T], partitions: list[int] | None = None, last: int | None = None
) -> Iterator[Received[T]]:
    """Every record of the topic; what cannot be decoded is logged and left out (the dead letters hold it)."""
    for message in messages_to_end(kafka, topic.full_name(kafka.topic_prefix), partitions, last):
        if (received := received_from(topic, message)) is not None:
            yield received


def received_from(topic: Topic[T], message: Message) -> Received[T] | None:
    """The message as a record; None for a tombstone and for what cannot be decoded, which is logged."""
    value, key = message.value(), message.key()
    if value is None:
        return None
    try:
        record = decode(topic, _bytes(value), None if key is None else _bytes(key), check_key=False)
    except Undecodable as why:
        log.warning("%s-%s@%s is left out: %s", message.topic(), message.partition(), message.offset(), why.reason)
        return None
    headers = dict(message_headers(message))
    return Received(record, message.partition() or 0, message.offset() or 0, message.timestamp()[1], headers)


def message_headers(message: Message) -> Headers:
    """The message's headers, in their order. Call it once a message.

    Where a name is not UTF-8, which no broker checks and confluent-kafka cannot say, all it has is UNREADABLE_HEADERS.
    """
    try:
        found = message.headers() or []
    except (SystemError, UnicodeDecodeError) as error:
        return [(UNREADABLE_HEADERS, str(error.__cause__ or error).encode())]
    return [(name, header_bytes(value)) for name, value in (found.items() if isinstance(found, dict) else found)]


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def newest(kafka: KafkaSettings, topic: Topic[T], key: str) -> T | None:
    """The newest record of one key, from its partition alone; None where there is none."""
    consumer = plain_consumer(kafka)
    try:
        count = partitions_of(consumer, kafka, topic.full_name(kafka.topic_prefix), TIMEOUT_SECONDS)
    finally:
        consumer.close()
    found = None
    for received in read_to_end(kafka, topic, [partition_of(key, count)]):
        if received.record.key() == key:
            found = received.record
    return found
