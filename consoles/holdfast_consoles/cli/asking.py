"""A person's request, from the log to its outcome: publish it, then wait for what the ledger records of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.errors import RequestRefused, RequestUnanswered
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.states import Outcome
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher, partitions_of
from holdfast_schemas.transport.reading import TIMEOUT_SECONDS, plain_consumer, received_from, watermarks
from holdfast_schemas.transport.security import KafkaSettings

ACHIEVED: frozenset[Outcome] = frozenset(("effective", "already", "noted"))
REFUSED: frozenset[Outcome] = frozenset(("refused", "expired", "superseded", "failed"))


@dataclass
class Answers:
    """What the ledger has recorded of one request."""

    kafka: KafkaSettings
    request: PersonRequest
    consumer: Consumer
    newest: ActionRecorded | None = None

    def listen(self, seconds: float) -> None:
        """Take in what comes within ``seconds``. Raises RequestRefused as soon as the ledger says no."""
        message = self.consumer.poll(seconds)
        if message is None or message.error():
            return
        received = received_from(topics.actions, message)
        if received is None or received.record.cause_id != self.request.request_id:
            return
        self.newest = received.record
        if self.newest.outcome in REFUSED:
            raise RequestRefused(self.request.kind, self.subject(), self.newest.outcome, self.newest.reason)

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until ``done``. Raises RequestRefused, or RequestUnanswered after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not done():
            if (left := deadline - time.monotonic()) <= 0:
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
    """Publish the request; the actions topic is read from where it ended before, so no answer is missed.

    Raises TopicMissing, BrokerUnreachable, NotDelivered.
    """
    consumer = plain_consumer(kafka, **{"fetch.wait.max.ms": 50})
    try:
        name = topics.actions.full_name(kafka.topic_prefix)
        starts = []
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
    """Publish the request, and wait until it is done: of a rollback, until every worker stopped; its undo may take hours.

    Raises RequestRefused, RequestUnanswered after ``seconds``, and what ``asked`` raises.
    """
    enough = (*ACHIEVED, "acknowledged") if request.kind == "rollback" else tuple(ACHIEVED)
    with asked(kafka, request) as answers:
        answers.wait(lambda: answers.reached(*enough), seconds)
    assert answers.newest is not None
    return answers.newest


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
