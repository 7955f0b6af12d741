"""Topics that are not co-partitioned: both services refuse to start, and name each topic's number of partitions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # its __init__ re-exports it

from holdfast_actuators.service import check_topics as actuator_checks
from holdfast_processors.service import check_topics as processor_checks
from holdfast_schemas.errors import PartitionsDiffer
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import all_topics
from tests.conftest import KafkaServer, TopicsOfATest
from tests.runtime.workers import processor

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("check", [processor_checks, actuator_checks])
def test_topics_of_different_partitions_are_refused_by_name(
    kafka: KafkaServer, kafka_topics: TopicsOfATest, check: Callable[[Settings], object]
) -> None:
    prefix = kafka_topics.prefix.rstrip(".")
    for name, config in all_topics(prefix).items():
        short = name.removeprefix(kafka_topics.prefix)
        kafka_topics(short, partitions=2 if short == "events" else 3, config=config)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix))
    with pytest.raises(PartitionsDiffer) as refused:
        check(settings)
    assert f"{prefix}.events has 2" in str(refused.value)
    assert f"{prefix}.decisions has 3" in str(refused.value)
    assert refused.value.exit_code == 3


def test_partitions_added_to_a_live_topic_end_the_processor_by_name_and_it_does_not_start_again(
    kafka_settings: KafkaSettings, kafka_topics: TopicsOfATest, tmp_path: Path
) -> None:
    events = f"{kafka_settings.topic_prefix}.events"
    with processor(tmp_path, kafka_settings, "running") as running:
        running.wait_ready()
        for future in kafka_topics.admin.create_partitions([NewPartitions(events, 13)]).values():
            future.result(30)
        assert running.process.wait(60) == 70, running.log()[-3000:]
        assert f"{events} has 13" in running.log()
    with processor(tmp_path, kafka_settings, "again") as again:
        assert again.process.wait(60) == PartitionsDiffer.exit_code, again.log()[-3000:]
        assert f"{events} has 13" in again.log()
