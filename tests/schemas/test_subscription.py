"""Subscription and reading on a real Kafka: iterate, stop, resume after a restart, and pass over what is poison."""

from collections.abc import Iterator

import pytest

from holdfast_schemas.errors import TopicMissing, UnknownMigration
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.collect import collect_metrics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import newest, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.subscription import Subscription

from .samples import SAMPLES

pytestmark = pytest.mark.kafka
METRICS = SAMPLES["metrics"][0]


@pytest.fixture
def publisher(kafka_settings: KafkaSettings) -> Iterator[Publisher]:
    with Publisher(kafka_settings, "test") as publisher:
        yield publisher


def lease(seq: int) -> GuardLease:
    return GuardLease(**{**SAMPLES["leases"][0].model_dump(), "seq": seq})


def seqs(kafka: KafkaSettings, take: int | None = None, **options: object) -> list[int]:
    found = []
    with Subscription(topics.leases, kafka, **{"idle_seconds": 8.0 if take else 1.5, **options}) as subscription:  # type: ignore[arg-type]
        for received in subscription:
            found.append(received.record.seq)
            if len(found) == take:
                break
    return found


def test_a_group_goes_on_where_it_stopped(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    for n in range(6):
        publisher.publish(topics.leases, lease(n), partition=0)
    publisher.flush()
    first = seqs(kafka_settings, take=3, group="g")
    assert first == [0, 1, 2]
    # The third was not asked past, so it was not committed: it is read again, never lost.
    assert seqs(kafka_settings, take=4, group="g") == [2, 3, 4, 5]


def test_poison_neither_ends_nor_blocks(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    name = topics.leases.full_name(kafka_settings.topic_prefix)
    publisher.publish(topics.leases, lease(1), partition=0)
    publisher.publish_bytes(name, b"~partition", b"\xff garbage", [], 0)
    publisher.publish(topics.leases, lease(2), partition=0)
    publisher.flush()
    assert seqs(kafka_settings) == [1, 2]


def test_newest_reads_one_key(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    for rows in (1, 2, 3):
        publisher.publish(topics.metrics, METRICS.model_copy(update={"rows_processed": rows}))
        publisher.publish(topics.metrics, METRICS.model_copy(update={"migration_id": "another", "rows_processed": 99}))
    publisher.flush()
    found = newest(kafka_settings, topics.metrics, "orders-add-currency")
    assert found is not None
    assert found.rows_processed == 3
    assert collect_metrics("orders-add-currency", kafka_settings) == found
    assert len(list(read_to_end(kafka_settings, topics.metrics))) == 6
    with pytest.raises(UnknownMigration, match="nobody"):
        collect_metrics("nobody", kafka_settings)


def test_broadcast_reaches_every_partition(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    publisher.broadcast(topics.events, SAMPLES["events"][6])
    publisher.flush()
    found = [received.partition for received in read_to_end(kafka_settings, topics.events)]
    assert sorted(found) == list(range(topics.PARTITIONS))


def test_what_is_missing_is_named(kafka_settings: KafkaSettings) -> None:
    elsewhere = kafka_settings.model_copy(update={"topic_prefix": "nowhere"})
    with pytest.raises(TopicMissing, match="holdfast topics create"):
        next(read_to_end(elsewhere, topics.events))
