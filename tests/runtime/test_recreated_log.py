"""A topic that was deleted and made again is refused by name: judging on would skip its events silently."""

from pathlib import Path

import pytest

from holdfast_processors.engine import keeping
from holdfast_processors.engine.state import PARTITION_KEY, PartitionState
from holdfast_processors.runtime.recovery import packed
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import CHANGELOG
from tests.runtime.workers import processor

pytestmark = pytest.mark.kafka


def test_a_log_that_ends_before_what_was_judged_is_refused_by_name(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    state = PartitionState(4)
    state.position, state.started = 500, True
    value, headers = packed(keeping.offset_of(state, PARTITION_KEY), keeping.encode(state, PARTITION_KEY))
    with Publisher(kafka_settings, "test") as publisher:
        publisher.publish_bytes(f"{kafka_settings.topic_prefix}.{CHANGELOG}", PARTITION_KEY.encode(), value, headers, 4)
    with processor(tmp_path, kafka_settings, "refusing") as worker:
        assert worker.process.wait(30) == 70
        assert (
            f"{kafka_settings.topic_prefix}.events-4 ends at offset 0, but offset 500 was reached before"
            in worker.log()
        )
