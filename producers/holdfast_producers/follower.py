"""Follows one migration: control to its end and beyond, and the leases of its partition. No group, nothing committed."""

import logging
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from holdfast_schemas.desired_state import TOMBSTONE_EPOCH, TOMBSTONE_RUN_ID
from holdfast_schemas.errors import BrokerUnreachable, HoldfastError, Undecodable
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import message_headers
from holdfast_schemas.transport.security import KafkaSettings

from .client_log import client_log
from .forking import keep_for_ever
from .sink import Hearing

log = logging.getLogger("holdfast.producers")
POLL_SECONDS = 0.5
METADATA_SECONDS = 5.0
AGAIN_SECONDS = 1.0


class KafkaFollower:
    """A thread with a consumer of its own, assigned to this migration's partition of control and of leases."""

    def __init__(self, kafka: KafkaSettings, migration_id: str, hearing: Hearing) -> None:
        self._kafka = kafka
        self._migration_id = migration_id
        self._hearing = hearing
        self._control = topics.control.full_name(kafka.topic_prefix)
        self._leases = topics.leases.full_name(kafka.topic_prefix)
        self._consumer: Consumer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._turned_at = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="holdfast-follower", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def forked(self) -> None:
        if self._consumer is not None:
            keep_for_ever(self._consumer)
            self._consumer = None

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except HoldfastError as error:
                self._hearing.cannot_follow(str(error))
            except Exception as error:  # noqa: BLE001  hearing must outlive whatever the client or a host's handler does
                self._hearing.cannot_follow(f"control cannot be read: {error}")
            if not self._stopping.wait(AGAIN_SECONDS):
                self._hearing.polled(AGAIN_SECONDS, AGAIN_SECONDS)  # deaf time is silence

    def _follow(self) -> None:
        consumer = self._consumer = Consumer(
            {
                **self._kafka.librdkafka(),
                "group.id": f"{self._kafka.topic_prefix}-none",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 2_000,
                "socket.keepalive.enable": True,
                "log.connection.close": False,
            },
            logger=client_log(),
        )
        try:
            end = self._assign(consumer)
            self._turned_at = time.monotonic()
            while not self._stopping.is_set():
                end = self._turn(consumer, end)
        finally:
            self._consumer = None
            consumer.close()

    def _assign(self, consumer: Consumer) -> TopicPartition | None:
        """Place the consumer; returns where control ends now, to be told once it is read up to there."""
        began = time.monotonic()
        partition = partition_of(self._migration_id, self._partitions(consumer, self._control))
        self._partitions(consumer, self._leases)
        control_end = self._end(consumer, self._control, partition)
        lease_end = self._end(consumer, self._leases, partition)
        consumer.assign(
            [
                TopicPartition(self._control, partition, OFFSET_BEGINNING),
                TopicPartition(self._leases, partition, lease_end),
            ]
        )
        self._hearing.placed(partition, lease_end)
        self._hearing.polled(time.monotonic() - began, METADATA_SECONDS)
        return TopicPartition(self._control, partition, control_end)

    def _partitions(self, consumer: Consumer, topic: str) -> int:
        return partitions_of(consumer, self._kafka, topic, METADATA_SECONDS)

    def _end(self, consumer: Consumer, topic: str, partition: int) -> int:
        try:
            marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_SECONDS)
        except KafkaException:
            marks = None
        if marks is None:
            raise BrokerUnreachable(self._kafka.bootstrap_servers, METADATA_SECONDS)
        return marks[1]

    def _turn(self, consumer: Consumer, end: TopicPartition | None) -> TopicPartition | None:
        if end is not None and self._reached(consumer, end):
            self._hearing.reached_end()
            end = None
        first = consumer.poll(0.05 if end is not None else self._poll_seconds())
        if first is not None:
            for message in (first, *consumer.consume(1000, 0)):  # consume(n, t) alone waits out t unless n came
                self._read(message)
        before, self._turned_at = self._turned_at, time.monotonic()
        self._hearing.polled(self._turned_at - before, POLL_SECONDS)
        return end

    def _poll_seconds(self) -> float:
        """Not beyond the lease's end: the runner must hold then, not half a second later."""
        left = self._hearing.lease_left_seconds()
        return min(POLL_SECONDS, left) if left > 0 else POLL_SECONDS

    def _reached(self, consumer: Consumer, end: TopicPartition) -> bool:
        """By position, not by offsets read: compaction may have left nothing at the end."""
        if end.offset == 0:
            return True
        position = consumer.position([TopicPartition(end.topic, end.partition)])[0].offset
        return position >= end.offset

    def _read(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            log.debug("%s: %s", message.topic(), error)
            return
        value, key, offset = message.value(), message.key(), message.offset() or 0
        try:
            if message.topic() == self._leases:
                self._hearing.beat(offset, decode(topics.leases, _bytes(value), None, check_key=False))
            elif _bytes(key) == self._migration_id.encode():
                if value is None:
                    self._read_tombstone(message)
                else:
                    self._hearing.heard(decode(topics.control, _bytes(value), None, check_key=False))
        except Undecodable as why:
            log.warning("%s@%s is read past: %s", message.topic(), offset, why.reason)

    def _read_tombstone(self, message: Message) -> None:
        headers = dict(message_headers(message))
        run_id, epoch = headers.get(TOMBSTONE_RUN_ID), headers.get(TOMBSTONE_EPOCH)
        if run_id and epoch and epoch.isdigit():
            self._hearing.heard_close(run_id.decode(), int(epoch))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
