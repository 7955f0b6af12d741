"""The consumer of the live view: what stood in the topics, what comes after, and a broker that is away for a time."""

import signal
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.cli.following import Following
from holdfast_consoles.cli.situation import situations
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.consoles.conftest import Log
from tests.consoles.test_status import beat, desired, metrics
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka


def until(following: Following, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Listen until ``condition``."""

    def there() -> object:
        following.listen(0.1)
        return condition()

    wait_for(there, seconds, what)


def test_it_shows_what_status_shows_and_goes_on(log: Log, migration_id: str) -> None:
    log.write(topics.metrics, *(metrics(migration_id, rows_processed=n) for n in range(50)))
    log.write(topics.control, desired(migration_id, epoch=9))
    beat(log, migration_id, renewed=True)
    with Following(log.kafka) as following:
        assert following.left > 0
        until(following, lambda: not following.left, "all that stood there")
        [followed] = [one for one in following.situations() if one.migration_id == migration_id]
        [read] = [one for one in situations(log.kafka) if one.migration_id == migration_id]
        assert (followed.metrics, followed.desired) == (read.metrics, read.desired)
        assert (followed.guard.beat, followed.guard.held) == (read.guard.beat, True)

        log.write(topics.control, desired(migration_id, epoch=10))
        log.write(topics.metrics, metrics(f"{migration_id}-new"))
        until(
            following,
            lambda: {(one.name) for one in following.situations()} >= {f"{migration_id}#10", f"{migration_id}-new#4"},
            "what came after",
        )


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_broker_that_is_away_or_hangs_is_said_until_it_is_back() -> None:
    with EmbeddedKafka() as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        admin = AdminClient({"bootstrap.servers": server.bootstrap_servers})
        followed = (topics.metrics, topics.control, topics.leases, topics.watches)
        new = [NewTopic(t.full_name(kafka.topic_prefix), num_partitions=3, config=t.broker_config()) for t in followed]
        for future in admin.create_topics(new).values():
            future.result(30)
        with Following(kafka) as following:
            server.kill()
            until(following, lambda: not following.connected, "the broker to be missed")
            server.start()
            until(following, lambda: following.connected, "the broker back")
            assert server.child is not None
            server.child.send_signal(signal.SIGSTOP)
            try:
                until(following, lambda: not following.connected, "the frozen broker to be missed")
            finally:
                server.child.send_signal(signal.SIGCONT)
            until(following, lambda: following.connected, "the broker back")
            Log(kafka).write(topics.metrics, metrics("m"))
            until(following, following.situations, "what was written after")
