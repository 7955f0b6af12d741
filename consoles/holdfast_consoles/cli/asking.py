"""A person's request, from the log to its outcome: publish it, then wait for what the ledger records of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from confluent_kafka import Consumer, Message, TopicPartition

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.errors import RequestRefused, RequestUnanswered
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.states import Outcome
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher, partitions_of
from holdfast_schemas.transport.reading import TIMEOUT_SECONDS, plain_consumer, received_from, watermarks
from holdfast_schemas.transport.security import KafkaSettings

ACHIEVED: frozenset[Outcome] = frozenset(("effective", "already", "noted"))
REFUSED: frozenset[Outcome] = frozenset(("refused", "expired", "superseded", "failed"))
UNDOER_SECONDS = 1.0
"""After every worker stopped: the ledger names who takes the run back in the same breath."""


@dataclass
class Answers:
    """What the ledger has recorded of one request."""

    kafka: KafkaSettings
    request: PersonRequest
    consumer: Consumer
    newest: ActionRecorded | None = None
    undone_by: Literal["worker", "log"] | None = None
    """Of a rollback: who takes the run back, once the ledger named it."""
    news_at: float = field(default_factory=time.monotonic)
    _recovery: Recovering | None = None

    def listen(self, seconds: float) -> None:
        """Take in what comes within ``seconds``. Raises RequestRefused as soon as the ledger says no."""
        message = self.consumer.poll(seconds)
        if message is None or message.error():
            return
        if message.topic() == topics.control.full_name(self.kafka.topic_prefix):
            self._take_desired(message)
        elif (received := received_from(topics.actions, message)) is not None:
            self._take_action(received.record)

    def _take_action(self, action: ActionRecorded) -> None:
        cause, _, undoer = action.cause_id.partition("/")
        if cause != self.request.request_id:
            return
        self.news_at = time.monotonic()
        if undoer:
            self.undone_by = "log" if undoer.startswith("log/") else "worker"
            return
        self.newest = action
        given_up = action.outcome == "held" and self.undone_by == "log"
        if action.outcome in REFUSED or given_up:
            raise RequestRefused(self.request.kind, self.subject(), action.outcome, action.reason)

    def _take_desired(self, message: Message) -> None:
        """How far an undo from the log is: as long as it goes on there is news."""
        received = received_from(topics.control, message)
        if received is None or received.record.migration_id != self.request.migration_id:
            return
        if received.record.recovery not in (None, self._recovery):
            self._recovery, self.news_at = received.record.recovery, time.monotonic()

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until ``done``. Raises RequestRefused, or RequestUnanswered after ``seconds``, of a rollback without any news."""
        began = time.monotonic()
        while not done():
            since = self.news_at if self.request.kind == "rollback" else began
            if (left := since + seconds - time.monotonic()) <= 0:
                raise RequestUnanswered(
                    self.request.kind, self.subject(), self.request.request_id, seconds, self._heard()
                )
            self.listen(min(left, 0.2))

    def reached(self, *outcomes: Outcome) -> bool:
        """Whether the newest record says one of these."""
        return self.newest is not None and self.newest.outcome in outcomes

    def subject(self) -> str:
        """What the request is about."""
        return self.request.migration_id or "everything"

    def _heard(self) -> str:
        if self.newest is None:
            return ""
        return self.newest.outcome + (f" ({self.newest.reason})" if self.newest.reason else "")


@contextmanager
def asked(kafka: KafkaSettings, request: PersonRequest) -> Iterator[Answers]:
    """Publish the request; actions are read from where they ended before, so no answer is missed, and control beside them.

    Raises TopicMissing, BrokerUnreachable, NotDelivered.
    """
    consumer = plain_consumer(kafka, **{"fetch.wait.max.ms": 50})
    try:
        starts = []
        for topic in (topics.actions, topics.control):
            name = topic.full_name(kafka.topic_prefix)
            for partition in range(partitions_of(consumer, kafka, name, TIMEOUT_SECONDS)):
                _, end = watermarks(consumer, kafka, name, partition)
                starts.append(TopicPartition(name, partition, end))
        consumer.assign(starts)
        with Publisher(kafka, "holdfast-cli") as publisher:
            publisher.partitions(topics.requests)  # so that a topic that is missing is named at once
            publisher.publish(topics.requests, request)
        yield Answers(kafka, request, consumer)
    finally:
        consumer.close()


def answered(kafka: KafkaSettings, request: PersonRequest, seconds: float) -> ActionRecorded:
    """Publish the request, and wait until it is done: of a rollback that a worker undoes, until every worker stopped, for
    its undo may take hours; of one from the log, until the rows are taken back.

    Raises RequestRefused, RequestUnanswered after ``seconds`` (of a rollback without any news), and what ``asked`` raises.
    """
    with asked(kafka, request) as answers:
        answers.wait(lambda: answers.reached(*ACHIEVED) or _left_to_a_worker(answers), seconds)
    assert answers.newest is not None
    return answers.newest


def _left_to_a_worker(answers: Answers) -> bool:
    if answers.request.kind != "rollback" or answers.undone_by == "log" or not answers.reached("acknowledged"):
        return False
    return answers.undone_by == "worker" or time.monotonic() - answers.news_at > UNDOER_SECONDS


def told(action: ActionRecorded) -> str:
    """What became of a person's request, in a sentence."""
    subject = action.migration_id or "everything"
    name = subject if action.epoch is None else f"{subject}#{action.epoch}"
    if action.kind == "rollback" and action.outcome == "acknowledged":
        return (
            f"rollback of {name}: every worker stopped, the undo goes on; holdfast status {subject} shows how far it is"
        )
    reason = f": {action.reason}" if action.reason else ""
    return f"{action.kind} of {name} is {action.outcome}{reason}"
