"""What the demo reads from Kafka while it runs: the loop as any consumer sees it, with the broker's timestamps."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.events import ProgressReported, RunFinished, WorkerFinished
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.states import RunOutcome
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import Received, plain_consumer, received_from
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import Topic

READ: tuple[Topic[Any], ...] = (topics.events, topics.metrics, topics.decisions, topics.actions, topics.control)


@dataclass
class Story:
    """One migration's records so far. Read it under ``changed``, which is notified at each record."""

    migration_id: str
    metrics: MigrationMetrics | None = None
    decisions: list[Received[Decision]] = field(default_factory=list)
    actions: list[Received[ActionRecorded]] = field(default_factory=list)
    finished: RunOutcome | None = None
    progress: dict[str, ProgressReported] = field(default_factory=dict)
    """The newest report of each worker that has not ended."""
    desired: DesiredState | None = None
    """What the ledger wants of the run: the highest epoch read."""
    events: int = 0
    event_times: dict[tuple[int, int], int] = field(default_factory=dict)
    """Log time (ms) of each event read, by partition and offset."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    _seen: set[str] = field(default_factory=set)

    def take(self, received: Received[Any]) -> None:
        """Add one record; repeats (the same identity) are dropped."""
        record = received.record
        with self.changed:
            if topics.events.types.get(type(record).__name__) is not None:
                self.event_times[(received.partition, received.offset)] = received.timestamp_ms
            if getattr(record, "migration_id", None) != self.migration_id:
                return
            if isinstance(record, MigrationMetrics):
                self.metrics = record
            elif isinstance(record, Decision | ActionRecorded):
                if (identity := record.identity()) in self._seen:
                    return
                self._seen.add(identity)
                where: list[Any] = self.decisions if isinstance(record, Decision) else self.actions
                where.append(received)
            elif isinstance(record, DesiredState):
                if self.desired is None or record.epoch >= self.desired.epoch:
                    self.desired = record
            else:
                self.events += 1
                if isinstance(record, RunFinished):
                    self.finished = record.outcome
                elif isinstance(record, ProgressReported):
                    self.progress[record.worker_id] = record
                elif isinstance(record, WorkerFinished):
                    self.progress.pop(record.worker_id, None)
            self.changed.notify_all()

    def action(self, cause_id: str, outcome: str) -> Received[ActionRecorded] | None:
        """The record of a cause's outcome, once it was read."""
        for received in self.actions:
            if received.record.cause_id == cause_id and received.record.outcome == outcome:
                return received
        return None

    def worker_states(self) -> set[str]:
        """What the workers themselves last said: running, paused, rolling_back."""
        return {report.state for report in self.progress.values()}

    def rows_done(self) -> int:
        """Rows of the workers that have not ended, by their own reports."""
        return sum(report.rows_processed for report in self.progress.values())

    def effective(self, kind: str) -> Received[ActionRecorded] | None:
        """The newest effective action of a kind."""
        found = [a for a in self.actions if a.record.kind == kind and a.record.outcome == "effective"]
        return found[-1] if found else None


class Reader:
    """Reads the story's topics in a thread of its own, from the beginning on."""

    def __init__(self, kafka: KafkaSettings, story: Story) -> None:
        self._kafka = kafka
        self._story = story
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="demo-reader", daemon=True)

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
            with self._story.changed:
                self._story.changed.notify_all()

    def _read(self) -> None:
        consumer = plain_consumer(self._kafka, **{"fetch.wait.max.ms": 20})
        by_name = {topic.full_name(self._kafka.topic_prefix): topic for topic in READ}
        try:
            consumer.assign(
                [
                    TopicPartition(name, partition, OFFSET_BEGINNING)
                    for name in by_name
                    for partition in range(partitions_of(consumer, self._kafka, name))
                ]
            )
            while not self._stop.is_set():
                first = consumer.poll(0.2)
                for message in (first, *consumer.consume(500, 0)) if first is not None else ():
                    if message.error():
                        continue
                    if (received := received_from(by_name[message.topic() or ""], message)) is not None:
                        self._story.take(received)
        finally:
            consumer.close()

    def check(self) -> None:
        """Raise what ended the reading, if something did."""
        if self._error is not None:
            raise self._error if not isinstance(self._error, KafkaException) else RuntimeError(str(self._error))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
