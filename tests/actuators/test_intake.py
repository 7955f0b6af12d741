"""The intake with a scripted consumer and ledger: what is held, what waits, and that nothing is dropped on the way."""

import threading
from collections import deque
from typing import Any, cast

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from holdfast_actuators.assignment import Assigned
from holdfast_actuators.figures import Figures
from holdfast_actuators.intake import Intake
from holdfast_actuators.ledger import Ledger, RulesInForce
from holdfast_schemas.errors import NotDelivered
from holdfast_schemas.identity import new_id
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.publish import Publisher

from .conftest import decision_of

AWAY = psycopg.OperationalError("gone")


class Said:
    """One message of confluent-kafka, as far as it is looked at."""

    def __init__(self, name: str, offset: int, key: bytes | None, value: bytes | None, error: Any = None) -> None:
        self.position = offset
        self.topic, self.partition, self.offset = (lambda: name), (lambda: 0), (lambda: offset)
        self.key, self.value, self.error = (lambda: key), (lambda: value), (lambda: error)
        self.timestamp, self.headers = (lambda: (1, 1_000)), (lambda: None)


class FakeConsumer:
    def __init__(self) -> None:
        self.coming: deque[Said] = deque()
        self.committed: list[int] = []
        self.paused = False

    def poll(self, timeout: float) -> Said | None:
        return self.coming.popleft() if self.coming and not self.paused else None

    def commit(self, message: Said, asynchronous: bool) -> None:
        self.committed.append(message.position)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(topics.decisions.full_name("holdfast"), 0)]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused = True

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused = False


class FakeLedger:
    def __init__(self) -> None:
        self.taken: list[str] = []
        self.fails: deque[Exception] = deque()

    def decide(self, decision: Any, broker_ms: int) -> None:
        if self.fails:
            raise self.fails.popleft()
        self.taken.append(decision.decision_id)

    def beat(self, listening_on: list[int]) -> RulesInForce:
        return RulesInForce(0, "")

    def close(self) -> None: ...


class FakePublisher:
    def __init__(self) -> None:
        self.letters = 0
        self.broker_away = False

    def publish(self, *_: Any, **__: Any) -> None: ...

    def publish_bytes(self, *_: Any, **__: Any) -> None:
        self.letters += 1

    def flush(self) -> None:
        if self.broker_away:
            raise NotDelivered("dead-letters", "timed out")

    def forget_failures(self) -> int:
        return 0


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.ledger, self.publisher, self.clock = FakeConsumer(), FakeLedger(), FakePublisher(), 100.0
        monkeypatch.setattr(Intake, "_make_consumer", lambda _: self.consumer)
        monkeypatch.setattr("holdfast_actuators.intake.time.monotonic", lambda: self.clock)
        self.intake = Intake(
            Settings(), cast(Ledger, self.ledger), cast(Publisher, self.publisher), threading.Event(), Figures()
        )
        self.assigned = Assigned(0, prepared=True, leases_position=1)
        self.intake.assignment.partitions[0] = self.assigned

    def come(self, offset: int, value: bytes | None = None) -> str:
        encoded = encode(decision := decision_of(new_id(), "pause", 1), source="test")
        name = topics.decisions.full_name("holdfast")
        self.consumer.coming.append(Said(name, offset, encoded.key, value or encoded.value))
        return decision.decision_id

    def turns(self, count: int, seconds: float = 0.01) -> None:
        for _ in range(count):
            self.intake.turn()
            self.clock += seconds


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_what_comes_before_the_next_try_is_held_and_not_dropped(bench: Bench) -> None:
    """The beat found the ledger again, so the partitions go on: the time of the next try lies ahead still."""
    bench.intake._away(AWAY)
    bench.intake._away(AWAY)
    first, second = bench.come(7), bench.come(8)
    bench.turns(2)
    bench.turns(6, seconds=1.0)
    assert bench.ledger.taken == [first, second]
    assert bench.consumer.committed == [7, 8]


def test_a_record_is_held_until_the_ledger_takes_it(bench: Bench) -> None:
    bench.ledger.fails.extend([AWAY, AWAY])
    only = bench.come(7)
    bench.turns(8, seconds=1.0)
    assert bench.ledger.taken == [only]
    assert bench.consumer.committed == [7]


def test_a_dead_letter_that_is_not_delivered_holds_the_offset(bench: Bench) -> None:
    bench.publisher.broker_away = True
    bench.come(7, b"\x00")
    after = bench.come(8)
    bench.turns(3)
    assert bench.consumer.committed == []
    bench.publisher.broker_away = False
    bench.turns(6, seconds=1.0)
    assert bench.consumer.committed == [7, 8]
    assert bench.ledger.taken == [after]


@pytest.mark.parametrize("flagged", [True, False])
def test_a_consumer_that_is_fenced_for_good_ends_the_process(bench: Bench, flagged: bool) -> None:
    error = KafkaError(KafkaError._FATAL, "fenced", fatal=flagged)
    bench.consumer.coming.append(Said("holdfast.decisions", 1, None, None, error))
    with pytest.raises(KafkaException, match="fenced"):
        bench.turns(1)


def test_nothing_is_judged_before_broker_time_is_known(bench: Bench) -> None:
    """An old decision read first would be its own newest broker time, and never too old."""
    fresh = Assigned(0, prepared=True, leases_end=5, leases_position=5)
    assert not fresh.open
    fresh.leases_position = 6
    assert fresh.open


def test_a_partition_that_brings_nothing_is_not_guarded(bench: Bench) -> None:
    bench.assigned.read_at = bench.clock
    bench.clock += 6
    assert bench.intake._loop(bench.assigned).unread_seconds == 6
