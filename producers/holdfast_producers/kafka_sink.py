"""The Kafka sink: one producer a process, made by the flusher's thread at its first record."""

import logging
import time
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, Message, Producer

from holdfast_schemas.record import Record
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import MAX_RECORD_BYTES, Topic

from .client_log import client_log
from .follower import KafkaFollower
from .forking import keep_for_ever
from .sink import Follower, Hearing, Settled

log = logging.getLogger("holdfast.producers")

PARTITION_UA = -1
"""librdkafka's word for: the key's partition."""
METADATA_SECONDS = 0.5

# No idempotence: one record of a worker in flight keeps order, ``seq`` drops repeats, and the first event leaves in 8 ms
# instead of 504. message.timeout.ms 0 is without end: a record waits for the broker as long as the run does.
PRODUCER = {
    "acks": "all",
    "enable.idempotence": False,
    "linger.ms": 0,
    "partitioner": "murmur2_random",
    "message.timeout.ms": 0,
    "message.max.bytes": 1_000_000,
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    "queue.buffering.max.messages": 1_000,
    "queue.buffering.max.kbytes": 4_096,
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
    "topic.metadata.propagation.max.ms": 3_000,
    "log.connection.close": False,
}


class KafkaSink:
    """Sends to Kafka with settings that were measured to be safe in somebody else's process."""

    def __init__(self, kafka: KafkaSettings, source: str = "holdfast/runner") -> None:
        self._kafka = kafka
        self._source = source
        self._producer: Producer | None = None
        self._owed = 0
        """Records handed over whose delivery was not told yet: the client's own count has its log lines in it too."""

    def send(self, topic: Topic[Any], record: Record, settled: Settled, partition: int | None = None) -> None:
        """See Sink."""
        try:
            encoded = encode(record, source=self._source)
            if len(encoded.value) > MAX_RECORD_BYTES:
                settled(f"{len(encoded.value)} bytes; at most {MAX_RECORD_BYTES} are allowed")
                return
            self._client().produce(
                topic.full_name(self._kafka.topic_prefix),
                encoded.value,
                encoded.key,
                PARTITION_UA if partition is None else partition,
                headers=list(encoded.headers),
                on_delivery=partial(self._delivered, settled),
            )
            self._owed += 1
        except (KafkaException, BufferError) as error:
            settled(str(error))

    def partitions(self, topic: Topic[Any]) -> int | None:
        """See Sink."""
        name = topic.full_name(self._kafka.topic_prefix)
        try:
            found = self._client().list_topics(name, timeout=METADATA_SECONDS).topics.get(name)
        except KafkaException as error:
            log.debug("no metadata of %s: %s", name, error)
            return None
        return None if found is None or found.error is not None else len(found.partitions)

    def poll(self, seconds: float) -> None:
        """See Sink."""
        if self._producer is None:
            time.sleep(seconds)
            return
        try:
            self._producer.poll(seconds)
        except Exception:
            log.debug("a callback raised inside poll()", exc_info=True)

    def follow(self, migration_id: str, hearing: Hearing) -> Follower:
        """See Sink."""
        return KafkaFollower(self._kafka, migration_id, hearing)

    def close(self) -> int:
        """See Sink."""
        producer, self._producer = self._producer, None
        if producer is None:
            return 0
        left, self._owed = self._owed, 0
        if left:
            producer.purge()
            producer.poll(0)
        return left

    def forked(self) -> None:
        """See Sink."""
        if self._producer is not None:
            keep_for_ever(self._producer)
            self._producer, self._owed = None, 0

    def _client(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({**self._kafka.librdkafka(), **PRODUCER}, logger=client_log())
        return self._producer

    def _delivered(self, settled: Settled, error: Any, message: Message) -> None:
        self._owed -= 1
        settled(None if error is None else str(error.str()))
