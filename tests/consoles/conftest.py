"""The command line as a person runs it: `main()` with arguments, against topics of the module's own on a real Kafka."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from holdfast_consoles.cli.main import main
from holdfast_schemas.record import Record
from holdfast_schemas.settings import variables
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import CONTRACT_TOPICS, DEAD_LETTERS, Topic
from tests.conftest import ADMIN_TIMEOUT_SECONDS, KafkaServer, TopicsOfATest

PARTITIONS = 3


@dataclass(frozen=True)
class Ran:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


Holdfast = Callable[..., Ran]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of Holdfast's variables."""
    for name in variables() | {"HOLDFAST_DEBUG"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOLDFAST_CONFIG", "holdfast.toml")  # so that --config is undone after the test
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def holdfast(capsys: pytest.CaptureFixture[str]) -> Holdfast:
    """Runs one command."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


@dataclass(frozen=True)
class Log:
    """The module's topics, and what a test writes to them."""

    kafka: KafkaSettings

    def write(self, topic: Topic, *records: Record, partition: int | None = None) -> None:  # type: ignore[type-arg]
        with Publisher(self.kafka, "test") as publisher:
            for record in records:
                publisher.publish(topic, record, partition=partition)


@pytest.fixture(scope="module")
def module_log(kafka: KafkaServer) -> Iterator[Log]:
    """All topics, with three partitions each, under a prefix of this module; deleted after it."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topics = TopicsOfATest(admin, f"t{uuid.uuid4().hex[:10]}.", [])
    topics(*(topic.name for topic in CONTRACT_TOPICS), DEAD_LETTERS, partitions=PARTITIONS)
    yield Log(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topics.prefix.rstrip(".")))
    for future in admin.delete_topics(topics.created, operation_timeout=ADMIN_TIMEOUT_SECONDS).values():
        future.result(ADMIN_TIMEOUT_SECONDS)


@pytest.fixture
def log(module_log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    """The module's topics, and settings that lead the command line there."""
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", module_log.kafka.bootstrap_servers)
    monkeypatch.setenv("HOLDFAST_KAFKA__TOPIC_PREFIX", module_log.kafka.topic_prefix)
    return module_log


@pytest.fixture
def migration_id() -> str:
    """A migration that no other test has."""
    return f"orders-{uuid.uuid4().hex[:8]}"
