"""The intake: one thread that takes in decisions, requests and runner records, and beats. Ledger commit, then offset commit.

Ledger away: the record is held, everything paused, polled on (so the membership stands), the connection tried again.
Poison: dead letter, then offset. Anything else is a bug and ends the process.
"""

import logging
import threading
import time
from collections import Counter
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from holdfast_schemas.errors import NotDelivered, Undecodable, Unreachable, Unstorable
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import messages_to_end
from holdfast_schemas.transport.topics import Topic

from .assignment import Assigned, Assignment
from .dead_letters import as_bytes, send_dead_letter
from .figures import Figures
from .lease import Loop, WatchedNote, missing_link
from .ledger import AWAY, POISON, Ledger, RulesInForce
from .seen_control import highest_epochs

log = logging.getLogger("holdfast.actuator")
READ: tuple[Topic[Any], ...] = (topics.decisions, topics.requests, topics.runs, topics.watches, topics.leases)
GATED = (topics.decisions.name, topics.requests.name, topics.runs.name)
RECONNECT_SECONDS = (0.1, 2.0)


class Intake:
    """The actuator's consumer; ``wake`` is set after each transaction, for the relay."""

    def __init__(
        self, settings: Settings, ledger: Ledger, publisher: Publisher, wake: threading.Event, figures: Figures
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._ledger = ledger
        self._publisher = publisher
        self._wake = wake
        self._figures = figures
        self._names = {topic.full_name(self._kafka.topic_prefix): topic for topic in READ}
        self.assignment = Assignment()
        self._held: Message | None = None
        self._retry_at = 0.0
        self._retry_seconds = RECONNECT_SECONDS[0]
        self._ledger_missing: str | None = None
        self._rules = RulesInForce(0, "")
        self._beat_at = 0.0
        self._consumer = self._make_consumer()

    def _make_consumer(self) -> Consumer:
        actuator = self._settings.actuator
        static = {} if self._kafka.allow_unstamped else {"group.instance.id": actuator.name}
        consumer = Consumer(
            {
                **self._kafka.librdkafka(),
                "group.id": f"{self._kafka.topic_prefix}-actuator",
                **static,
                "partition.assignment.strategy": "range",
                "session.timeout.ms": int(actuator.session_timeout_seconds * 1000),
                "heartbeat.interval.ms": 1000,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            },
            logger=log,
        )
        consumer.subscribe(
            list(self._names), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        return consumer

    def run(self, stop: threading.Event) -> None:
        """Poll until told to stop; then leave the group in order."""
        try:
            while not stop.is_set():
                self.turn()
        finally:
            self._consumer.close()

    def turn(self) -> None:
        """One turn of the loop: at most one record, and a beat when it is due."""
        message = self._held if time.monotonic() >= self._retry_at else None
        if message is None:
            message = self._consumer.poll(0.05 if self._ledger_missing is None else 0.2)
        self._prepare_all()
        if message is not None and (error := message.error()) is not None:
            # poll() gives the code and leaves the flag unset
            if error.fatal() or error.code() == KafkaError._FATAL:
                raise KafkaException(error)  # another took our name, say: what is not read must not be guarded
        elif message is not None:
            self._take(message)
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + self._settings.actuator.beat_seconds
            self._beat()

    # the assignment

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        consumer.resume(partitions)  # a pause outlives a rebalance, even of a partition lost and regained
        gained = {tp.partition for tp in partitions}
        self.assignment.lost(set(self.assignment.partitions))
        self.assignment.gained(gained)
        log.info("assigned partitions %s", sorted(gained))
        consumer.pause([tp for tp in partitions if self._names[tp.topic].name in GATED])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assignment.lost({tp.partition for tp in partitions})
        if self._held is not None and self._held.partition() not in self.assignment.partitions:
            self._held = None  # its new owner reads it again

    def _prepare_all(self) -> None:
        """Every partition that was gained; what fails for want of the ledger or the broker is tried again."""
        if time.monotonic() < self._retry_at:
            return
        try:
            for assigned in self.assignment.unprepared():
                self._prepare(assigned)
        except AWAY as error:
            self._away(error)
        except (KafkaException, Unreachable) as error:
            log.warning("the assignment waits for the broker: %s", error)

    def _prepare(self, assigned: Assigned) -> None:
        """Learn the epochs on control, and where this partition's logs stand. Then wait for watches to be read that far."""
        prefix, partition = self._kafka.topic_prefix, assigned.partition
        on_control = messages_to_end(self._kafka, topics.control.full_name(prefix), [partition])
        for migration_id, epoch in highest_epochs(on_control).items():
            self._ledger.saw_control(migration_id, epoch)
        assigned.locate(self._consumer, prefix)
        assigned.prepared = True
        self._beat_at = 0.0  # read back, it tells broker time: the gate waits for that

    def _open_if_read(self, assigned: Assigned) -> None:
        if assigned.open and self._held is None:
            prefix = self._kafka.topic_prefix
            self._consumer.resume([TopicPartition(f"{prefix}.{name}", assigned.partition) for name in GATED])

    # records

    def _take(self, message: Message) -> None:
        topic, partition = self._names[str(message.topic())], int(message.partition() or 0)
        assigned = self.assignment.partitions.get(partition)
        if assigned is None:
            self._held = None
            return
        if message is not self._held:
            assigned.heard(message.timestamp()[1])
        if time.monotonic() < self._retry_at:
            self._hold(message)  # the ledger went away after this was polled
            return
        try:
            self._record(topic, message, assigned)
        except AWAY as error:
            self._hold(message)
            self._away(error)
            return
        except NotDelivered as error:
            log.warning("a dead letter waits for the broker: %s", error)
            self._hold(message)
            self._retry_at = time.monotonic() + RECONNECT_SECONDS[1]
            return
        self._back()
        self._consumer.commit(message=message, asynchronous=True)
        if topic is topics.decisions:
            assigned.decisions_position = int(message.offset() or 0) + 1
        elif topic is topics.runs:
            assigned.runs_position = int(message.offset() or 0) + 1

    def _hold(self, message: Message) -> None:
        """Keep the record until it can be taken in; nothing else is read meanwhile."""
        self._held = message
        self._consumer.pause(self._consumer.assignment())

    def _record(self, topic: Topic[Any], message: Message, assigned: Assigned) -> None:
        try:
            record = decode(topic, as_bytes(message.value()), as_bytes(message.key()))
            self._give(topic, record, message, assigned)
        except Undecodable as why:
            self._dead_letter(message, why)
        except POISON as error:
            self._dead_letter(message, Unstorable(str(error).strip().splitlines()[0]))

    def _give(self, topic: Topic[Any], record: Any, message: Message, assigned: Assigned) -> None:
        if topic is topics.leases:  # our own beats: they move broker time
            was_open, assigned.leases_position = assigned.open, int(message.offset() or 0) + 1
            if not was_open:
                self._open_if_read(assigned)
            return
        if topic is topics.watches:
            self._watched(record, message, assigned)
            return
        if topic is topics.decisions:
            self._ledger.decide(record, assigned.broker_ms)
        elif topic is topics.requests:
            self._ledger.request(record, message.timestamp()[1], assigned.broker_ms)
        else:
            self._ledger.run_record(record)
        self._figures.taken(topic.name)
        self._wake.set()

    def _watched(self, record: Any, message: Message, assigned: Assigned) -> None:
        logged_ms = message.timestamp()[1]
        assigned.watched = WatchedNote(
            logged_ms, to_milliseconds(record.tick_at), record.decisions_end, record.rules_version, record.rules_hash
        )
        was_open = assigned.open
        assigned.watches_position = int(message.offset() or 0) + 1
        if assigned.open or int(message.offset() or 0) % 10 == 0:
            self._ledger.watched(record, logged_ms)
        if not was_open:
            self._open_if_read(assigned)

    def _dead_letter(self, message: Message, why: Undecodable) -> None:
        send_dead_letter(self._publisher, self._kafka.topic_prefix, message, why)
        self._figures.taken("dead-letters")

    # the ledger away

    def _away(self, error: Exception) -> None:
        if self._ledger_missing is None:
            log.warning("the ledger is away: %s", error)
        self._ledger_missing = str(error).strip().splitlines()[0]
        self._consumer.pause(self._consumer.assignment())
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, RECONNECT_SECONDS[1])
        self._ledger.close()

    def _back(self) -> None:
        if self._ledger_missing is None and self._held is None:
            return
        if self._ledger_missing is not None:
            log.info("the ledger is back")
        self._held, self._ledger_missing = None, None
        self._retry_at, self._retry_seconds = 0.0, RECONNECT_SECONDS[0]
        for tp in self._consumer.assignment():
            assigned = self.assignment.partitions.get(tp.partition)
            if assigned is not None and (assigned.open or self._names[tp.topic].name not in GATED):
                self._consumer.resume([tp])

    # the guard lease

    def _beat(self) -> None:
        """A beat to each partition, whether it renews or not: one that does not names the missing link."""
        try:
            self._rules = self._ledger.beat(self._listening_on())
            if self._ledger_missing is not None and self._held is None:
                self._back()
        except AWAY as error:
            self._away(error)
        if lost := self._publisher.forget_failures():
            log.warning("%d beats were not delivered: is the broker up?", lost)
        actuator = self._settings.actuator
        withheld: Counter[str] = Counter()
        for assigned in self.assignment.partitions.values():
            missing = missing_link(self._loop(assigned), actuator.watched_fresh_seconds)
            assigned.beats += 1
            withheld.update([] if missing is None else [missing.reason])
            self._publisher.publish(
                topics.leases,
                GuardLease(
                    partition=assigned.partition,
                    actuator=actuator.name,
                    seq=assigned.beats,
                    renewed=missing is None,
                    missing=None if missing is None else missing.text[:500],
                    beat_seconds=actuator.beat_seconds,
                    lease_seconds=actuator.lease_seconds,
                    occurred_at=now(),
                ),
                partition=assigned.partition,
            )
        self._figures.beat(len(self.assignment.partitions), withheld, self._ledger_missing)

    def _listening_on(self) -> list[int]:
        """The partitions on which what runners say is read up to now; not while the broker is away, or a record is held."""
        if self._held is not None:
            return []
        oldest = time.monotonic() - self._settings.actuator.watched_fresh_seconds
        return [a.partition for a in self.assignment.partitions.values() if a.listening and a.read_at > oldest]

    def _loop(self, assigned: Assigned) -> Loop:
        return Loop(
            assigned.partition, self._ledger_missing, self._rules, assigned.watched, assigned.assigned_ms,
            assigned.broker_ms or assigned.assigned_ms, assigned.decisions_position, time.monotonic() - assigned.read_at,
        )  # fmt: skip
