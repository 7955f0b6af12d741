"""One consumer that reads what `status` reads, and goes on with what comes after: no topic is read twice."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import orjson
from confluent_kafka import Message, TopicPartition

from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import TIMEOUT_SECONDS, plain_consumer, watermarks
from holdfast_schemas.transport.security import KafkaSettings

from .guard import BEATS_READ
from .newest import Newest
from .situation import Situation, situations_of

STATISTICS_SECONDS = 2.0
"""How often the client says which brokers it is connected to, and when it heard them last."""
SILENT_SECONDS = 5.0
"""A fetch is answered at least ten times a second, with or without records: a broker that is silent for so long hangs."""
BATCH = 5_000


class Following:
    """Metrics and control from their beginning, leases and watches from their ends on. Raises TopicMissing, BrokerUnreachable."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.newest = Newest()
        self.connected = True
        """Whether a broker was connected and answered when the client last looked."""
        self._consumer = plain_consumer(
            kafka,
            **{
                "fetch.wait.max.ms": 100,
                "statistics.interval.ms": int(STATISTICS_SECONDS * 1000),
                "stats_cb": self._statistics,
            },
        )
        self._unread: dict[tuple[str, int], tuple[int, int]] = {}
        self._takes: dict[str, Callable[[Message], None]] = {}
        self.partitions = 0
        try:
            self._assign(kafka)
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._consumer.close()

    def listen(self, seconds: float) -> bool:
        """Take in what comes within ``seconds``; whether anything did."""
        messages = [message for message in self._consumer.consume(BATCH, seconds) if not message.error()]
        for message in messages:
            self._takes[message.topic() or ""](message)
        return bool(messages)

    @property
    def left(self) -> int:
        """How many offsets of those that the topics had at the start are still to be read."""
        if not self._unread:
            return 0
        at = self._consumer.position([TopicPartition(topic, partition) for topic, partition in self._unread])
        reached = {(one.topic, one.partition): one.offset for one in at}  # negative before the first record
        self._unread = {
            p: (max(first, reached[p]), end) for p, (first, end) in self._unread.items() if reached[p] < end
        }
        return sum(end - first for first, end in self._unread.values())

    def situations(self) -> list[Situation]:
        """Every migration that was heard of, by id, as it is now."""
        return situations_of(self.newest, self.partitions, now())

    def _assign(self, kafka: KafkaSettings) -> None:
        starts = []
        for topic, take, last in (
            (topics.metrics, self.newest.take_figures, None),
            (topics.control, self.newest.take_desired, None),
            (topics.leases, self.newest.take_beat, BEATS_READ),
            (topics.watches, self.newest.take_watched, BEATS_READ),
        ):
            name = topic.full_name(kafka.topic_prefix)
            self._takes[name] = take
            self.partitions = partitions_of(self._consumer, kafka, name, TIMEOUT_SECONDS)
            for partition in range(self.partitions):
                first, end = watermarks(self._consumer, kafka, name, partition)
                start = first if last is None else max(first, end - last)
                starts.append(TopicPartition(name, partition, start))
                if end > start:
                    self._unread[name, partition] = start, end
        self._consumer.assign(starts)

    def _statistics(self, text: str) -> None:
        silent = (broker["rxidle"] for broker in orjson.loads(text)["brokers"].values() if broker["state"] == "UP")
        self.connected = any(microseconds < SILENT_SECONDS * 1e6 for microseconds in silent)
