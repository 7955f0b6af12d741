"""Where a subscription begins: the earliest record, the latest, the first at or after a time; or where its group stopped."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from confluent_kafka import OFFSET_BEGINNING, OFFSET_STORED, Consumer, KafkaError, KafkaException, TopicPartition

from ..record import to_milliseconds

Start = Literal["earliest", "latest"] | datetime
TIMEOUT_SECONDS = 10.0


def placed(consumer: Consumer, partitions: Sequence[TopicPartition], start: Start) -> list[TopicPartition]:
    """The partitions at the offsets where ``start`` is now. A time after the last record is the end.

    The end is a number, not "the end": whatever is published from here on is read. Raises KafkaException.
    """
    if start == "earliest":
        return [TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in partitions]
    ends = [TopicPartition(one.topic, one.partition, _end(consumer, one)) for one in partitions]
    if start == "latest" or not ends:
        return ends
    milliseconds = to_milliseconds(start)
    asked = [TopicPartition(one.topic, one.partition, milliseconds) for one in partitions]
    found = _answered(consumer.offsets_for_times(asked, timeout=TIMEOUT_SECONDS))
    end_of = {one.partition: one for one in ends}
    return [one if one.offset >= 0 else end_of[one.partition] for one in found]


def resumed(consumer: Consumer, partitions: Sequence[TopicPartition], start: Start) -> list[TopicPartition]:
    """The partitions where their group stopped; those that it never committed, at ``start``. Raises KafkaException.

    The latest is committed at once: else what comes while a new group is down would be behind the latest of its next start.
    """
    known = _answered(consumer.committed(list(partitions), timeout=TIMEOUT_SECONDS))
    new = placed(consumer, [one for one in known if one.offset < 0], start)
    if start == "latest" and new:
        consumer.commit(offsets=new, asynchronous=False)
    return [TopicPartition(one.topic, one.partition, OFFSET_STORED) for one in known if one.offset >= 0] + new


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    """The offset that the partition's next record gets."""
    marks = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_SECONDS)
    if marks is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return marks[1]


def _answered(partitions: list[TopicPartition]) -> list[TopicPartition]:
    """The same; an answer that is an error is no position to begin at."""
    for one in partitions:
        if one.error is not None:
            raise KafkaException(one.error)
    return partitions
