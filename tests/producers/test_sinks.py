"""The contract of a sink, kept by the one in memory and by Kafka's."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast_producers.kafka_sink import KafkaSink
from holdfast_producers.sink import Sink
from holdfast_producers.testing import MemorySink
from holdfast_schemas.events import RunStarted, WorkerFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import Record, now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

RUN, WORKER = new_id(), new_id()


def finished(seq: int, migration_id: str = "m") -> WorkerFinished:
    return WorkerFinished(
        migration_id=migration_id, run_id=RUN, worker_id=WORKER, seq=seq, occurred_at=now(), outcome="completed"
    )


@dataclass
class Carried:
    sink: Sink
    arrived: Callable[[], list[Record]]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def carried(request: pytest.FixtureRequest) -> Iterator[Carried]:
    if request.param == "memory":
        memory = MemorySink()
        yield Carried(memory, lambda: [sent.record for sent in memory.sent if sent.topic == "events"])
        return
    kafka_topics, kafka = request.getfixturevalue("kafka_topics"), request.getfixturevalue("kafka")
    kafka_topics("events", "control", "leases")
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka_topics.prefix.rstrip("."))
    sink = KafkaSink(settings)
    yield Carried(sink, lambda: [one.record for one in read_to_end(settings, topics.events)])
    sink.close()


def send_and_wait(carried: Carried, records: list[Record]) -> list[str | None]:
    settled: list[str | None] = []
    for record in records:
        carried.sink.send(topics.events, record, settled.append)
    deadline = time.monotonic() + 10
    while len(settled) < len(records) and time.monotonic() < deadline:
        carried.sink.poll(0.1)
    return settled


def test_what_is_sent_arrives_once_in_order_and_is_settled_inside_poll(carried: Carried) -> None:
    records: list[Record] = [finished(seq) for seq in range(1, 21)]
    assert send_and_wait(carried, records) == [None] * 20
    carried.sink.poll(0.05)
    assert carried.arrived() == records


def test_poll_comes_back_in_time_with_and_without_records(carried: Carried) -> None:
    began = time.monotonic()
    carried.sink.poll(0.05)
    send_and_wait(carried, [finished(1)])
    began_again = time.monotonic()
    carried.sink.poll(0.05)
    assert began_again - began < 5
    assert time.monotonic() - began_again < 1


def test_a_callback_that_raises_ends_nothing(carried: Carried) -> None:
    def broken(why: str | None) -> None:
        raise RuntimeError("a host's handler")

    carried.sink.send(topics.events, finished(1), broken)
    try:
        carried.sink.poll(1.0)
    except RuntimeError:
        pytest.fail("a callback's exception came out of poll()")
    assert send_and_wait(carried, [finished(2)]) == [None]


def test_closing_gives_up_nothing_that_was_delivered(carried: Carried) -> None:
    send_and_wait(carried, [finished(1)])
    assert carried.sink.close() == 0
    assert send_and_wait(carried, [finished(2)]) == [None]


@pytest.mark.kafka
def test_kafka_partitions_by_the_migrations_key(kafka: Any, kafka_topics: Any) -> None:
    kafka_topics("events")
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka_topics.prefix.rstrip("."))
    sink = KafkaSink(settings)
    carried = Carried(sink, list)
    names = [f"migration-{index}" for index in range(30)]
    assert send_and_wait(carried, [finished(1, name) for name in names]) == [None] * 30
    sink.close()
    found = {one.record.key(): one.partition for one in read_to_end(settings, topics.events)}
    assert found == {name: partition_of(name, 12) for name in names}


def test_a_record_too_large_is_refused_at_once_and_a_broker_that_is_away_settles_nothing() -> None:
    sink = KafkaSink(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    settled: list[str | None] = []
    large = finished(1).model_copy(update={"migration_id": "m" * 300_000})
    sink.send(topics.events, large, settled.append)
    assert settled[0] is not None
    assert "at most" in settled[0]
    sink.send(topics.events, finished(2), settled.append)
    sink.poll(0.2)
    assert len(settled) == 1
    began = time.monotonic()
    assert sink.close() == 1
    assert time.monotonic() - began < 2


def test_memory_refuses_what_the_contract_refuses() -> None:
    sink = MemorySink()
    bad = RunStarted.model_construct(migration_id="m", run_id="not a uuid", occurred_at=now(), worker_id=WORKER, seq=1)
    with pytest.raises(Exception, match="run_id"):
        sink.send(topics.events, bad, lambda why: None)


def test_a_named_partition_is_the_one_that_is_sent_to(carried: Carried) -> None:
    count = carried.sink.partitions(topics.events)
    assert count is not None
    settled: list[str | None] = []
    for partition in range(count):
        carried.sink.send(topics.events, finished(partition + 1), settled.append, partition)
    wait_for(lambda: carried.sink.poll(0.05) or len(settled) == count, 10, "all delivered")
    assert settled == [None] * count
    assert sorted(r.seq for r in carried.arrived()) == list(range(1, count + 1))  # type: ignore[attr-defined]
    if isinstance(carried.sink, MemorySink):
        assert [sent.partition for sent in carried.sink.sent] == list(range(count))
