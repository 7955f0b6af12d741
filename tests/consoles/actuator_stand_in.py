"""An actuator's part in a request, played by a script: it reads requests and records the outcomes that a test dictates."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.states import ActionKind, Outcome
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher, partitions_of
from holdfast_schemas.transport.reading import plain_consumer, received_from
from holdfast_schemas.transport.security import KafkaSettings

Answer = Callable[[PersonRequest], Iterable[ActionRecorded | DesiredState]]


def outcomes(*steps: tuple[Outcome, str], epoch: int | None = None) -> Answer:
    """Answers each request with these outcomes and reasons, in order."""

    def answer(request: PersonRequest) -> list[ActionRecorded]:
        kind: ActionKind = request.kind
        return [
            ActionRecorded(
                cause_id=request.request_id, cause_kind="request", migration_id=request.migration_id, kind=kind,
                outcome=outcome, epoch=epoch, actor=request.actor, reason=reason, revision=n, occurred_at=now(),
            )
            for n, (outcome, reason) in enumerate(steps, 1)
        ]  # fmt: skip

    return answer


@contextmanager
def answering(kafka: KafkaSettings, answer: Answer) -> Iterator[list[PersonRequest]]:
    """Answers requests until the with statement ends; gives the requests as they come. An error of it fails the test."""
    heard: list[PersonRequest] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def play() -> None:
        consumer = plain_consumer(kafka, **{"fetch.wait.max.ms": 20})
        try:
            name = topics.requests.full_name(kafka.topic_prefix)
            count = partitions_of(consumer, kafka, name)
            consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in range(count)])
            with Publisher(kafka, "stand-in") as publisher:
                while not stop.is_set():
                    message = consumer.poll(0.1)
                    if message is None or message.error():
                        continue
                    received = received_from(topics.requests, message)
                    assert received is not None
                    heard.append(received.record)
                    for said in answer(received.record):
                        publisher.publish(topics.control if isinstance(said, DesiredState) else topics.actions, said)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failed.append(error)
        finally:
            consumer.close()

    thread = threading.Thread(target=play, name="actuator stand-in", daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(20)
    if failed:
        raise failed[0]
