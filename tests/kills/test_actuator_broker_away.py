"""The broker stands still or dies under two actuators that work: what was read, written or owed is neither lost nor doubled."""

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import all_topics
from tests.waiting import wait_for

from .actuators import Actuators, driven
from .audit import assert_nothing_lost_or_doubled, quiet
from .fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(400)]
AWAY_SECONDS = 20.0


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A broker that the test may freeze and kill."""
    with EmbeddedKafka() as started:
        yield started


def topics_on(broker: EmbeddedKafka) -> KafkaSettings:
    """Every topic of Holdfast on this broker."""
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"t{uuid.uuid4().hex[:10]}")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    new = [NewTopic(name, num_partitions=12, config=config) for name, config in all_topics(kafka.topic_prefix).items()]
    names = {topic.topic for topic in new}
    for future in admin.create_topics(new, operation_timeout=30).values():
        future.result(30)
    wait_for(lambda: names <= set(admin.list_topics(timeout=10).topics), 30, "the topics")
    return kafka


def freeze(broker: EmbeddedKafka) -> None:
    assert broker.child is not None
    broker.child.send_signal(signal.SIGSTOP)
    time.sleep(AWAY_SECONDS)  # the situation itself: how long it has been so
    broker.child.send_signal(signal.SIGCONT)


def kill(broker: EmbeddedKafka) -> None:
    broker.kill()
    time.sleep(AWAY_SECONDS)
    broker.start()


@pytest.mark.parametrize("away", [freeze, kill])
def test_a_broker_that_is_away_under_load_costs_nothing(
    broker: EmbeddedKafka, database: str, tmp_path: Path, away: Callable[[EmbeddedKafka], None]
) -> None:
    kafka = topics_on(broker)
    with ExitStack() as stack, Fleet(kafka, 16) as fleet:
        actuators = Actuators(kafka, database, tmp_path, stack)
        running = [actuators.start("a"), actuators.start("b")]
        wait_for(fleet.granted, 60, "every run's grant")
        with driven(fleet, 0.02):
            wait_for(lambda: len(fleet.causes) > 100, 60, "causes before it")
            away(broker)
            back, since = time.monotonic(), len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > since + 100, 90, "causes after its return")
            took = time.monotonic() - back
        wait_for(lambda: quiet(database, fleet), 120, "every cause's final outcome")
        ended = [actuator.poll() for actuator in running]
        assert ended == [None, None], "an actuator ended because the broker was away"
        actuators.stop()
    counts = assert_nothing_lost_or_doubled(database, fleet)
    print(f"{away.__name__} for {AWAY_SECONDS:g} s: 100 causes {took:.1f} s after its return; {counts}")
