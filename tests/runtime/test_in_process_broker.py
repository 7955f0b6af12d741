"""The same processor on librdkafka's in-process broker: 4 partitions, CreateTime, an uncompacted changelog."""

from pathlib import Path

from holdfast_consoles.embedded.broker import InProcessBroker
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, assert_exact
from tests.runtime.workers import processor
from tests.waiting import wait_for


def test_judges_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    with InProcessBroker() as broker:
        broker.touch(topics.all_topics())
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, allow_unstamped=True)

        def decided() -> set[str]:
            return {one.record.trigger_id for one in read_to_end(kafka, topics.decisions)}

        with Publisher(kafka, "test") as publisher:
            migration = Migration(publisher, "orders")
            with processor(tmp_path, kafka, "first") as first:
                first.wait_ready()
                migration.start()
                migration.report(1000, 80)
                publisher.flush()
                wait_for(lambda: "error-rate-pause" in decided(), 20, "the pause")
                assert first.stop() == 0, first.log()
            with processor(tmp_path, kafka, "second") as second:
                second.wait_ready()
                migration.report(1000, 400)
                publisher.flush()
                wait_for(lambda: "error-rate-rollback" in decided(), 20, "the rollback")
                assert second.stop() == 0, second.log()
        assert_exact(kafka)
