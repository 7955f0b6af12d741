"""The partitions that this actuator has: what was read on each, and when its decisions may be taken in."""

import time
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from holdfast_schemas.transport import topics

from .lease import WatchedNote

MARKS_SECONDS = 10.0


@dataclass
class Assigned:
    """One partition of decisions, requests, runs, watches and leases: the range assignor gives all to one member."""

    partition: int
    assigned_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    broker_ms: int = 0
    read_at: float = field(default_factory=time.monotonic)
    watched: WatchedNote | None = None
    decisions_position: int = 0
    watches_end: int = 0
    """The end of watches at assignment: before it is read, no decision is judged."""
    watches_position: int = 0
    leases_end: int = 0
    """The end of leases at assignment: a beat read from there on tells what broker time is *now*."""
    leases_position: int = 0
    runs_end: int = 0
    """The end of runs at assignment: before it is read, nobody on the partition counts as silent."""
    runs_position: int = 0
    prepared: bool = False
    beats: int = 0

    def locate(self, consumer: Consumer, topic_prefix: str) -> None:
        """Where this partition's logs end now, and from where this member reads them. Raises KafkaException."""
        read = {
            topic.name: TopicPartition(topic.full_name(topic_prefix), self.partition)
            for topic in (topics.watches, topics.decisions, topics.runs, topics.leases)
        }
        marks = {name: consumer.get_watermark_offsets(at, timeout=MARKS_SECONDS) for name, at in read.items()}
        committed = consumer.committed(list(read.values()), timeout=MARKS_SECONDS)
        # Nothing committed is -1001: then, and where retention went past it, reading begins at the first record.
        begin = {name: max(at.offset, marks[name][0]) for name, at in zip(read, committed, strict=True)}
        self.leases_end, self.watches_end, self.runs_end = (
            marks[topic.name][1] for topic in (topics.leases, topics.watches, topics.runs)
        )
        self.watches_position = max(self.watches_position, begin[topics.watches.name])
        self.decisions_position, self.runs_position = begin[topics.decisions.name], begin[topics.runs.name]

    @property
    def open(self) -> bool:
        """Whether decisions, requests and runner records may be taken in: an old decision's age must show (protocol 16)."""
        now_is_known = self.leases_position > self.leases_end
        return self.prepared and now_is_known and self.watches_position >= self.watches_end

    @property
    def listening(self) -> bool:
        """Whether what runners say is read as they say it."""
        return self.open and self.runs_position >= self.runs_end

    def heard(self, timestamp_ms: int) -> None:
        """Broker time moves with every record read."""
        self.broker_ms = max(self.broker_ms, timestamp_ms)
        self.read_at = time.monotonic()


class Assignment:
    """The assigned partitions, by number."""

    def __init__(self) -> None:
        self.partitions: dict[int, Assigned] = {}

    def gained(self, partitions: set[int]) -> None:
        """Partitions given to this member (again: what was known of them is read anew)."""
        for partition in partitions:
            self.partitions.setdefault(partition, Assigned(partition))

    def lost(self, partitions: set[int]) -> None:
        """Partitions taken away."""
        for partition in partitions:
            self.partitions.pop(partition, None)

    def unprepared(self) -> list[Assigned]:
        """Those whose logs' ends were not read yet."""
        return [a for a in self.partitions.values() if not a.prepared]
