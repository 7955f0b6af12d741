"""`holdfast processor` on a real Kafka: events in; decisions, metrics, watches, dead letters out; stop, start, refuse."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, assert_exact, records
from tests.runtime.workers import processor
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka


def decided(kafka: KafkaSettings) -> list[str]:
    return [one.record.trigger_id for one in read_to_end(kafka, topics.decisions)]


def errors_shown(kafka: KafkaSettings) -> int | None:
    newest = [one.record for one in read_to_end(kafka, topics.metrics) if one.record.migration_id == "orders"]
    return newest[-1].error_count if newest else None


def test_events_become_decisions_metrics_and_watches_and_a_restart_goes_on(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    kafka = kafka_settings
    with Publisher(kafka, "test") as publisher, processor(tmp_path, kafka, "first") as first:
        first.wait_ready()
        migration = Migration(publisher, "orders")
        migration.start()
        migration.report(1000, 10)
        migration.report(1000, 150)
        publisher.publish_bytes(f"{kafka.topic_prefix}.events", b"orders", b"\xff not JSON", [("trace", b"7\xff")], 3)
        publisher.flush()
        wait_for(lambda: decided(kafka), 20, "a decision")
        [letter] = wait_for(lambda: records(kafka, topics.DEAD_LETTERS), 20, "the dead letter")
        assert letter[3:5] == (b"orders", b"\xff not JSON")
        assert letter[5]["holdfast_topic"] == f"{kafka.topic_prefix}.events".encode()
        assert letter[5]["holdfast_partition"] == b"3"
        assert letter[5]["holdfast_reason"]
        assert letter[5]["holdfast_error"]
        assert letter[5]["holdfast_original_trace"] == b"7\xff"
        assert first.figure("holdfast_processor_dead_letters_total") == 1
        assert first.figure("holdfast_processor_events_read_total") >= 4
        assert first.figure("holdfast_processor_decisions_total") >= 1
        families = text_string_to_metric_families(first.ask("/metrics")[1])
        partitions = {s.labels["partition"] for f in families for s in f.samples if "partition" in s.labels}
        assert partitions == {str(p) for p in range(12)}
        assert (first.figure("holdfast_processor_partitions"), first.figure("holdfast_processor_migrations")) == (12, 1)
        assert first.ask("/healthz")[0] == 200
        wait_for(lambda: errors_shown(kafka) == 160, 10, "metrics that show the last report")
        assert first.stop() == 0, first.log()
    assert set(decided(kafka)) == {"error-rate-pause"}
    assert_exact(kafka)
    watched = [one.record for one in read_to_end(kafka, topics.watches)]
    assert {one.partition for one in watched} == set(range(12))
    assert len({(one.partition, one.log_id) for one in watched}) == 12
    p = partition_of("orders", 12)
    assert max(one.decisions_end for one in watched if one.partition == p) == len(decided(kafka))

    with Publisher(kafka, "test") as publisher, processor(tmp_path, kafka, "second") as second:
        second.wait_ready()
        migration.publisher = publisher
        migration.report(1000, 400)
        publisher.flush()
        wait_for(lambda: "error-rate-rollback" in decided(kafka), 20, "the rollback")
        wait_for(lambda: errors_shown(kafka) == 560, 10, "metrics that go on from where they were")
        assert second.stop() == 0, second.log()
    assert assert_exact(kafka) == 0
    assert len(records(kafka, topics.DEAD_LETTERS)) == 1


def test_without_a_broker_it_says_so_and_exits_5(tmp_path: Path) -> None:
    with processor(tmp_path, KafkaSettings(bootstrap_servers="127.0.0.1:1")) as worker:
        assert worker.process.wait(30) == 5
    assert "no Kafka broker answered at 127.0.0.1:1" in worker.log()
    assert "Traceback" not in worker.log()


def test_without_its_topics_it_says_so_and_exits_5(kafka: object, tmp_path: Path, kafka_topics) -> None:  # type: ignore[no-untyped-def]
    kafka_topics("events")
    servers = kafka.bootstrap_servers  # type: ignore[attr-defined]
    settings = KafkaSettings(bootstrap_servers=servers, topic_prefix=kafka_topics.prefix.rstrip("."))
    with processor(tmp_path, settings) as worker:
        assert worker.process.wait(30) == 5
    assert f"topic {settings.topic_prefix}.decisions does not exist" in worker.log()
    assert "Traceback" not in worker.log()
