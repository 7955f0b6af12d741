"""Records whose headers' names are not UTF-8: confluent-kafka cannot say them, and the actuator goes on all the same."""

from pathlib import Path

import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import message_headers, messages_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import DEAD_LETTERS
from tests import foreign_headers
from tests.waiting import wait_for

from .conftest import MIGRATION
from .test_service import Actuator, newest_state, requested

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def test_an_actuator_goes_on(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> None:
    kafka, partition = kafka_settings, partition_of(MIGRATION, topics.PARTITIONS)
    for topic, value in ((topics.control, None), (topics.runs, "garbage")):
        foreign_headers.send(kafka, topic.full_name(kafka.topic_prefix), partition, MIGRATION, value)
    actuator = Actuator(kafka, database, tmp_path)
    child = actuator.start()
    try:
        with Publisher(kafka, "test") as publisher:
            requested(publisher)
        wait_for(lambda: newest_state(actuator), 40, "the grant")
        [letter] = list(messages_to_end(kafka, f"{kafka.topic_prefix}.{DEAD_LETTERS}"))
        assert letter.value() == b"garbage"
        assert "holdfast_original_holdfast_unreadable_headers" in dict(message_headers(letter))
        assert child.poll() is None
    finally:
        child.stop()
