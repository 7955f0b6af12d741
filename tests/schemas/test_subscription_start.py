"""Where a subscription begins, and that nothing published after that is skipped; every topic can be subscribed to."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from holdfast import AsyncSubscription, Subscription, topics
from holdfast_schemas.errors import BrokerUnreachable, TopicMissing
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.transport import subscription as module
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import CONTRACT_TOPICS
from tests.waiting import wait_for

from .samples import SAMPLES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
def publisher(kafka_settings: KafkaSettings) -> Iterator[Publisher]:
    with Publisher(kafka_settings, "test") as publisher:
        yield publisher


def publish(publisher: Publisher, seqs: range) -> None:
    for seq in seqs:
        lease = GuardLease(**{**SAMPLES["leases"][0].model_dump(), "seq": seq})
        publisher.publish(topics.leases, lease, partition=seq % 12)
    publisher.flush()


def seqs(kafka: KafkaSettings, **options: Any) -> list[int]:
    with Subscription(topics.leases, kafka, idle_seconds=2, **options) as leases:
        return sorted(received.record.seq for received in leases)


def test_every_topic(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    for topic in CONTRACT_TOPICS:
        for sample in SAMPLES[topic.name]:
            publisher.publish(topic, sample, partition=0)
    publisher.flush()
    for topic in CONTRACT_TOPICS:
        with Subscription(topic, kafka_settings, idle_seconds=20) as subscription:
            found = [received.record for _, received in zip(SAMPLES[topic.name], subscription, strict=False)]
        assert found == SAMPLES[topic.name], topic.name


def test_the_latest_is_the_end_on_entering(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    publish(publisher, range(12))
    with Subscription(topics.leases, kafka_settings, start="latest", idle_seconds=2) as leases:
        publish(publisher, range(12, 24))  # entered, but not yet read once
        assert sorted(received.record.seq for received in leases) == list(range(12, 24))


def test_a_new_group_at_the_latest_misses_nothing_while_it_is_down(
    kafka_settings: KafkaSettings, publisher: Publisher
) -> None:
    """It handled nothing, so its only position is where it began; the other partitions of one that handled some, too."""
    publish(publisher, range(12))
    assert seqs(kafka_settings, group="g", start="latest") == []
    publish(publisher, range(12, 24))
    assert seqs(kafka_settings, group="g", start="latest") == list(range(12, 24))


def test_a_time_after_the_last_record_is_the_end_on_entering(
    kafka_settings: KafkaSettings, publisher: Publisher
) -> None:
    publish(publisher, range(3))
    time.sleep(0.05)  # the clock's milliseconds go on
    with Subscription(topics.leases, kafka_settings, start=datetime.now(UTC), idle_seconds=2) as leases:
        publish(publisher, range(3, 15))
        assert sorted(received.record.seq for received in leases) == list(range(3, 15))
    with pytest.raises(ValueError, match="offset from UTC"):
        Subscription(topics.leases, kafka_settings, group="g", start=datetime(2026, 3, 1))


def test_what_is_missing_is_named_by_both_forms(kafka_settings: KafkaSettings) -> None:
    nowhere = kafka_settings.model_copy(update={"topic_prefix": "nowhere"})
    away = KafkaSettings(bootstrap_servers="127.0.0.1:9")

    async def enter(kafka: KafkaSettings) -> None:
        async with AsyncSubscription(topics.events, kafka):
            pass

    with pytest.raises(TopicMissing, match="holdfast topics create"), Subscription(topics.events, nowhere, group="g"):
        pass
    with pytest.raises(TopicMissing, match="holdfast topics create"):
        asyncio.run(enter(nowhere))
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:9"):
        asyncio.run(enter(away))


@pytest.mark.long
def test_partitions_whose_place_is_not_known_end_the_subscription(
    kafka_settings: KafkaSettings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebalance while a record is handled, and the broker does not say where to go on: not from anywhere, then."""
    asked = threading.Event()

    def fails(*_: object) -> list[TopicPartition]:
        asked.set()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    publish(publisher, range(24))
    name = topics.leases.full_name(kafka_settings.topic_prefix)
    other = Consumer({**kafka_settings.librdkafka(), "group.id": f"{kafka_settings.topic_prefix}-g"})
    try:
        with Subscription(topics.leases, kafka_settings, group="g") as leases:
            first = next(iter(leases)).record.seq
            monkeypatch.setattr(module, "resumed", fails)
            other.subscribe([name])
            wait_for(lambda: (other.poll(0.1), asked.is_set())[1], 40, "the rebalance")
            with pytest.raises(BrokerUnreachable):
                leases.poll(0)
    finally:
        other.close()
    monkeypatch.undo()
    assert set(range(24)) - set(seqs(kafka_settings, group="g")) <= {first}  # the one that was handled
