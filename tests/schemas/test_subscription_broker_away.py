"""The broker dies under subscribers: they wait, go on by themselves, and lose nothing."""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast import AsyncSubscription, Subscription, topics
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.transport import subscription as module
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .samples import SAMPLES

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]
AWAY_SECONDS = 12.0
"""Twice the session that the test gives the members of a group."""


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A broker that the test may kill."""
    with EmbeddedKafka() as started:
        yield started


@pytest.fixture
def kafka(broker: EmbeddedKafka) -> KafkaSettings:
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"t{uuid.uuid4().hex[:10]}")
    name = topics.leases.full_name(kafka.topic_prefix)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(name, num_partitions=12)], operation_timeout=30).values():
        future.result(30)
    wait_for(lambda: name in admin.list_topics(timeout=10).topics, 30, "the topic")
    return kafka


def publish(kafka: KafkaSettings, seqs: range) -> None:
    with Publisher(kafka, "test") as publisher:
        for seq in seqs:
            lease = GuardLease(**{**SAMPLES["leases"][0].model_dump(), "seq": seq})
            publisher.publish(topics.leases, lease, partition=seq % 12)
        publisher.flush()


@pytest.mark.parametrize("group", [None, "g"])
def test_both_forms_wait_for_the_broker_and_go_on(
    broker: EmbeddedKafka, kafka: KafkaSettings, group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_POLL_SECONDS", 6.0)
    done = threading.Event()
    sync_seen: list[int] = []
    async_seen: list[int] = []
    ended_in_order: list[str] = []

    def read() -> None:
        with Subscription(topics.leases, kafka, group=group) as leases:
            while not done.is_set():
                if (received := leases.poll(0.2)) is not None:
                    sync_seen.append(received.record.seq)
        ended_in_order.append("sync")

    async def read_asynchronously() -> None:
        other = None if group is None else f"{group}-async"
        async with AsyncSubscription(topics.leases, kafka, group=other) as leases:
            while not done.is_set():
                try:
                    async_seen.append((await asyncio.wait_for(anext(leases), 0.2)).record.seq)
                except TimeoutError:
                    continue
        ended_in_order.append("async")

    threads = [
        threading.Thread(target=read),
        threading.Thread(target=lambda: asyncio.run(read_asynchronously())),
    ]
    for thread in threads:
        thread.start()
    try:
        publish(kafka, range(24))
        wait_for(lambda: len(sync_seen) >= 24 and len(async_seen) >= 24, 60, "the records before it")
        broker.kill()
        time.sleep(AWAY_SECONDS)  # the situation itself
        broker.start()
        publish(kafka, range(24, 48))
        everything = set(range(48))
        wait_for(lambda: set(sync_seen) == everything == set(async_seen), 120, "the records after it")
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert sorted(ended_in_order) == ["async", "sync"]
    if group is None:
        assert sorted(sync_seen) == sorted(async_seen) == list(range(48))  # nobody took its place away
