"""SIGTERM ends each service within 10 s and with 0, whatever it does and whatever is away, and nothing is lost by it."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import all_topics
from tests.kills.load import Load
from tests.kills.services import NAMES, Name, Services, hears_signals
from tests.runtime.migrations import assert_exact
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


@pytest.fixture
def services(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> Iterator[Services]:
    made = Services(kafka_settings, database, tmp_path)
    yield made
    made.close()


def test_under_load_nothing_is_lost(services: Services) -> None:
    services.start(*NAMES)
    services.wait_ready(*NAMES)
    with Load(services.kafka, 100, 1_000):
        wait_for(
            lambda: services.running["processor"].figure("holdfast_processor_decisions_total") > 50, 40, "decisions"
        )
        services.stop(*NAMES)
        services.start(*NAMES)
        services.wait_ready(*NAMES)
    services.stop("processor")
    assert_exact(services.kafka)
    assert services.wait_until_acted_on() > 50
    services.stop("actuator")


# A broker and a ledger of their own, because they are frozen


@dataclass
class Away:
    """Services whose Kafka can be frozen or killed, and whose ledger can be frozen or refuse."""

    services: Services
    broker: EmbeddedKafka

    @contextmanager
    def without(self, what: str) -> Iterator[None]:
        """Until the end of the block it is away as named."""
        if what == "nothing":
            yield
        elif what == "the broker hangs":
            os.kill(self.broker.pid, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(self.broker.pid, signal.SIGCONT)
        elif what == "the broker is gone":
            self.broker.kill()
            try:
                yield
            finally:
                self.broker.restart()
        else:
            with self._ledger_away(hangs=what == "the ledger hangs"):
                yield

    @contextmanager
    def _ledger_away(self, *, hangs: bool) -> Iterator[None]:
        name = psycopg.conninfo.conninfo_to_dict(self.services.dsn)["dbname"]
        server = psycopg.conninfo.make_conninfo(self.services.dsn, dbname="postgres")
        with psycopg.connect(server, autocommit=True) as db:
            query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'holdfast-actuator'"
            pids = [row[0] for row in db.execute(query, (name,)).fetchall()]
            assert pids
            if not hangs:
                db.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')  # type: ignore[arg-type]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP if hangs else signal.SIGTERM)
            try:
                yield
            finally:
                if hangs:
                    for pid in pids:
                        os.kill(pid, signal.SIGCONT)
                else:
                    db.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka() as started:
        yield started


@pytest.fixture
def away(broker: EmbeddedKafka, database: str, tmp_path: Path) -> Iterator[Away]:
    prefix = f"t{uuid.uuid4().hex[:10]}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    new = [NewTopic(name, num_partitions=12, config=config) for name, config in all_topics(prefix).items()]
    for future in admin.create_topics(new, operation_timeout=30).values():
        future.result(30)
    wait_for(lambda: set(all_topics(prefix)) <= set(admin.list_topics(timeout=10).topics), 30, "the topics")
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix)
    made = Services(kafka, database, tmp_path)
    yield Away(made, broker)
    made.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "what", "seconds"),
    [
        # A processor whose broker is gone for longer ends by itself, with 70: see the zombie's tests.
        ("processor", "the broker is gone", 1),
        ("processor", "the broker hangs", 1),
        ("processor", "the broker hangs", 15),
        ("actuator", "the broker is gone", 1),
        ("actuator", "the broker is gone", 15),
        ("actuator", "the broker hangs", 1),
        ("actuator", "the broker hangs", 15),
        ("actuator", "the ledger refuses", 5),
        ("actuator", "the ledger hangs", 5),
    ],
)
def test_while_something_is_away_and_a_restart_heals(away: Away, name: Name, what: str, seconds: float) -> None:
    services = away.services
    services.start(*NAMES)
    services.wait_ready(*NAMES)
    with Load(services.kafka, 100, 500):
        wait_for(
            lambda: services.running["processor"].figure("holdfast_processor_decisions_total") > 20, 40, "decisions"
        )
        with away.without(what):
            time.sleep(seconds)  # the situation itself: how long it has been so
            services.stop(name)
    other: Name = "actuator" if name == "processor" else "processor"
    services.running.pop(other).kill()  # a broker that is away is not survived by every processor: not this test's
    services.start(*NAMES)
    services.wait_ready(*NAMES)
    services.stop("processor")
    assert_exact(services.kafka)
    assert services.wait_until_acted_on() > 20
    services.stop("actuator")


@pytest.mark.long
@pytest.mark.parametrize("what", ["nothing", "the broker hangs"])
@pytest.mark.parametrize("name", NAMES)
def test_while_it_starts(away: Away, name: Name, what: str) -> None:
    """From the moment that it hears signals (before it has read its settings) until after it is ready."""
    for delay in (0.0, 0.3, 0.8, 1.5, 2.5, 4.0):
        away.services.start(name)
        wait_for(lambda: hears_signals(away.services.running[name]), 20, "the process hearing signals", 0.005)
        with away.without(what):
            time.sleep(delay)
            away.services.stop(name)


@pytest.mark.long
def test_a_fatal_error_ends_the_actuator_with_70_and_a_restart_heals(services: Services) -> None:
    """A table that is gone is no outage to wait for."""
    services.start(*NAMES)
    services.wait_ready(*NAMES)
    with psycopg.connect(services.dsn, autocommit=True) as db, Load(services.kafka, 100, 500):
        db.execute("ALTER TABLE holdfast.outbox RENAME TO mislaid")
        actuator = services.running.pop("actuator")
        assert actuator.process.wait(20) == 70
        assert "exit 70" in actuator.log()
        db.execute("ALTER TABLE holdfast.mislaid RENAME TO outbox")
        services.start("actuator")
        services.wait_ready("actuator")
    assert services.wait_until_acted_on() > 0
    services.stop(*NAMES)
