"""A broker that is killed, or hangs, under a health reporter: each partition has each response once when it is back."""

import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast import HealthReporter
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.sketch import bucket
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.settings import quick
from tests.producers.test_health import of_log
from tests.waiting import wait_for

AWAY_SECONDS = 10.0
PARTITIONS = 12


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka() as started:
        yield started


def topics_on(broker: EmbeddedKafka) -> KafkaSettings:
    """Only the topic of events: all that a health reporter knows."""
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"t{uuid.uuid4().hex[:10]}")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    name = topics.events.full_name(kafka.topic_prefix)
    for made in admin.create_topics([NewTopic(name, PARTITIONS)], operation_timeout=30).values():
        made.result(30)
    wait_for(lambda: name in admin.list_topics(timeout=10).topics, 30, "the topic")
    return kafka


def killed(broker: EmbeddedKafka) -> None:
    broker.kill()
    time.sleep(AWAY_SECONDS)
    broker.start()


def hanging(broker: EmbeddedKafka) -> None:
    assert broker.child is not None
    broker.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        broker.child.send_signal(signal.SIGCONT)


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("away", [pytest.param(killed, marks=pytest.mark.long), hanging])
def test_each_partition_has_each_response_once(broker: EmbeddedKafka, away: Callable[[EmbeddedKafka], None]) -> None:
    kafka = topics_on(broker)
    seconds: list[float] = []
    ended = threading.Event()
    with HealthReporter("orders", quick(kafka, close_timeout_seconds=60.0)) as health:

        def work() -> None:
            while not ended.wait(0.002):
                health.observe(one := 0.001 * (1 + len(seconds) % 50))
                seconds.append(one)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            wait_for(lambda: len(of_log(kafka)) == PARTITIONS, 60, "every partition to be told")
            before = len(seconds)
            away(broker)
            assert len(seconds) > before + 500  # the application was never held up
        finally:
            ended.set()
            worker.join()
    expected = dict(Counter(bucket(round(one * 1e9)) for one in seconds))
    assert {p: list(told.values()) for p, told in of_log(kafka).items()} == {p: [expected] for p in range(PARTITIONS)}
