"""Servers for tests: ``kafka``, ``kafka_topics``, ``postgres``, ``database``. They start when first asked for."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from psycopg.conninfo import make_conninfo

from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import all_topics
from tests.shared_servers import SharedServers, ask
from tests.waiting import wait_for

ADDRESS = "holdfast_servers"
SERVERS = pytest.StashKey[SharedServers]()
PARTITIONS = 12
ADMIN_TIMEOUT_SECONDS = 30.0


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[SERVERS] = SharedServers()


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVERS in config.stash:
        config.stash[SERVERS].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:  # type: ignore[no-untyped-def]  # xdist publishes no type for it
    node.workerinput[ADDRESS] = node.config.stash[SERVERS].address


@pytest.fixture(scope="session")
def locate_server(pytestconfig: pytest.Config) -> Callable[[str], str]:
    """Where the session's ``kafka`` or ``postgres`` is; starts it when no test asked before."""
    in_worker = hasattr(pytestconfig, "workerinput")
    address = pytestconfig.workerinput[ADDRESS] if in_worker else pytestconfig.stash[SERVERS].address
    return lambda server: ask(address, server)


@dataclass(frozen=True)
class KafkaServer:
    bootstrap_servers: str


@dataclass(frozen=True)
class PostgresServer:
    superuser_dsn: str

    def dsn(self, dbname: str = "postgres") -> str:
        return make_conninfo(self.superuser_dsn, dbname=dbname)


@pytest.fixture(scope="session")
def kafka(locate_server: Callable[[str], str]) -> KafkaServer:
    """The session's Apache Kafka. Shared: use topics of your own (``kafka_topics``), never stop it."""
    return KafkaServer(locate_server("kafka"))


@pytest.fixture(scope="session")
def postgres(locate_server: Callable[[str], str]) -> PostgresServer:
    """The session's PostgreSQL. Shared: use a database of your own (``database``), never stop it."""
    return PostgresServer(locate_server("postgres"))


@dataclass
class TopicsOfATest:
    """Topics under a prefix that no other test has. Call it with names; it returns ``{name: full name}``."""

    admin: AdminClient
    prefix: str
    created: list[str]

    def __call__(
        self, *names: str, partitions: int = PARTITIONS, config: dict[str, str] | None = None
    ) -> dict[str, str]:
        settings = {"message.timestamp.type": "LogAppendTime"} | (config or {})
        full_names = {name: self.prefix + name for name in names}
        new = [NewTopic(name, num_partitions=partitions, config=settings) for name in full_names.values()]
        for future in self.admin.create_topics(new, operation_timeout=ADMIN_TIMEOUT_SECONDS).values():
            future.result(ADMIN_TIMEOUT_SECONDS)
        self.created += full_names.values()
        wanted = set(full_names.values())
        # created is not yet known: the broker's metadata names a new topic a moment later
        wait_for(lambda: wanted <= set(self.admin.list_topics(timeout=10).topics), 20, "the created topics")
        return full_names


@pytest.fixture
def kafka_topics(kafka: KafkaServer) -> Iterator[TopicsOfATest]:
    """Creates topics (12 partitions, LogAppendTime) under a prefix of this test; deleted after it."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topics = TopicsOfATest(admin, f"t{uuid.uuid4().hex[:10]}.", [])
    yield topics
    if topics.created:
        for future in admin.delete_topics(topics.created, operation_timeout=ADMIN_TIMEOUT_SECONDS).values():
            future.result(ADMIN_TIMEOUT_SECONDS)


def create_database(connection: psycopg.Connection, name: str) -> None:
    """The quickest way that the server has: up to 14 it was the only one."""
    how = " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
    connection.execute(sql.SQL("CREATE DATABASE {}" + how).format(sql.Identifier(name)))


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a new, empty database, dropped after the test."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        create_database(connection, name)
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def kafka_settings(kafka_topics: TopicsOfATest, kafka: KafkaServer) -> KafkaSettings:
    """Settings of a Kafka that has every topic of Holdfast, under a prefix of this test."""
    prefix = kafka_topics.prefix.rstrip(".")
    for name, config in all_topics(prefix).items():
        kafka_topics(name.removeprefix(kafka_topics.prefix), config=config)
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix)
