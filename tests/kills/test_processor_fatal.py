"""What a processor cannot go on with ends it with 70, and a supervisor's restart goes on where it stood: nothing is lost."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ re-exports them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import assert_exact
from tests.runtime.workers import Worker, processor
from tests.waiting import wait_for

from .load import Load
from .processors import assert_verified, caught_up

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
ENDS_IN_SECONDS = 40


def limit_bytes(kafka: KafkaSettings, name: str, most_bytes: int | None) -> None:
    """Let a live topic take records of ``most_bytes`` and no larger; None: as large as before."""
    operation = AlterConfigOpType.DELETE if most_bytes is None else AlterConfigOpType.SET
    entry = ConfigEntry("max.message.bytes", str(most_bytes), incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, f"{kafka.topic_prefix}.{name}", incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def wait_for_decisions(worker: Worker) -> None:
    wait_for(lambda: worker.figure("holdfast_processor_decisions_total") > 50, 60, "decisions")


def judged_to_the_end(kafka: KafkaSettings, worker: Worker) -> None:
    """The one that was started again reads on to the end, and the log, judged again, agrees."""
    since = time.time_ns() // 1_000_000
    wait_for(lambda: caught_up(kafka, since), 120, "every partition to be watched", 1.0)
    assert worker.stop() == 0, worker.log()[-3000:]
    print(f"decisions repeated with the same bytes: {assert_exact(kafka)}")
    assert_verified(kafka)


@pytest.mark.parametrize(
    ("name", "task"),
    [(topics.CHANGELOG, "keep"), pytest.param(topics.watches.name, "decide", marks=pytest.mark.long)],
)
def test_a_record_that_a_topic_does_not_take_ends_it_and_a_restart_heals(
    kafka_settings: KafkaSettings, tmp_path: Path, name: str, task: str
) -> None:
    with Load(kafka_settings, 100, 500), processor(tmp_path, kafka_settings, "first") as first:
        wait_for_decisions(first.wait_ready())
        limit_bytes(kafka_settings, name, 50)
        assert first.process.wait(ENDS_IN_SECONDS) == 70, first.log()[-3000:]
        assert f"{task} failed: MessageSizeTooLargeError" in first.log()
        limit_bytes(kafka_settings, name, None)
        again = processor(tmp_path, kafka_settings, "again")
    with again:
        judged_to_the_end(kafka_settings, again.wait_ready())


@pytest.fixture
def own_broker() -> Iterator[tuple[EmbeddedKafka, KafkaSettings]]:
    """A broker that this test may kill, with every topic."""
    prefix = f"t{uuid.uuid4().hex[:10]}"
    with EmbeddedKafka() as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        new = [NewTopic(name, num_partitions=12, config=config) for name, config in topics.all_topics(prefix).items()]
        for future in admin.create_topics(new, operation_timeout=30).values():
            future.result(30)
        wait_for(lambda: set(topics.all_topics(prefix)) <= set(admin.list_topics(timeout=10).topics), 30, "the topics")
        yield broker, KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix)


@pytest.mark.long
def test_a_broker_away_past_the_session_ends_it_and_a_restart_heals(
    own_broker: tuple[EmbeddedKafka, KafkaSettings], tmp_path: Path
) -> None:
    broker, kafka = own_broker
    with Load(kafka, 100, 500), processor(tmp_path, kafka, "first") as first:
        wait_for_decisions(first.wait_ready())
        broker.kill()
        try:
            assert first.process.wait(ENDS_IN_SECONDS) == 70, first.log()[-3000:]
        finally:
            broker.restart()
        assert "no heartbeat acknowledged" in first.log()
        again = processor(tmp_path, kafka, "again").wait_ready()
    with again:
        judged_to_the_end(kafka, again)
