"""Where a subscription begins: the earliest record, the latest, the first at or after a time; or where its group stopped."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_STORED, Consumer, TopicPartition

from ..record import to_milliseconds

Start = Literal["earliest", "latest"] | datetime
TIMEOUT_SECONDS = 10.0


def placed(consumer: Consumer, partitions: Sequence[TopicPartition], start: Start) -> list[TopicPartition]:
    """The partitions at the offsets where ``start`` is. A time after the last record is the end."""
    if not isinstance(start, datetime):
        offset = OFFSET_BEGINNING if start == "earliest" else OFFSET_END
        return [TopicPartition(one.topic, one.partition, offset) for one in partitions]
    if start.tzinfo is None:
        raise ValueError(f"start {start}: allowed is a time that names its offset from UTC")
    milliseconds = to_milliseconds(start)
    asked = [TopicPartition(one.topic, one.partition, milliseconds) for one in partitions]
    found = consumer.offsets_for_times(asked, timeout=TIMEOUT_SECONDS) if asked else []
    return [TopicPartition(one.topic, one.partition, one.offset if one.offset >= 0 else OFFSET_END) for one in found]


def resumed(consumer: Consumer, partitions: Sequence[TopicPartition], start: Start) -> list[TopicPartition]:
    """The partitions where their group stopped; those that it never committed, at ``start``."""
    known = consumer.committed(list(partitions), timeout=TIMEOUT_SECONDS)
    new = placed(consumer, [one for one in known if one.offset < 0], start)
    return [TopicPartition(one.topic, one.partition, OFFSET_STORED) for one in known if one.offset >= 0] + new
