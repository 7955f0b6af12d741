"""What a benchmark stands on: a real Kafka on loopback with every topic, and `holdfast processor` with its defaults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.runtime.workers import Worker, processor
from tests.waiting import wait_for

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.settings import ProcessorSettings
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import PARTITIONS, all_topics

CREATE_SECONDS = 60.0


@contextmanager
def kafka_and_folder() -> Iterator[tuple[KafkaSettings, Path]]:
    """(settings of a new Kafka that has every topic, a folder for logs); both are gone afterwards."""
    with EmbeddedKafka() as server, TemporaryDirectory(prefix="holdfast-bench-") as folder:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        create_topics(kafka)
        yield kafka, Path(folder)


def create_topics(kafka: KafkaSettings) -> None:
    """Every topic of this prefix, as `holdfast topics create` makes them."""
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
    wanted = all_topics(kafka.topic_prefix)
    new = [NewTopic(name, num_partitions=PARTITIONS, config=config) for name, config in wanted.items()]
    for future in admin.create_topics(new, operation_timeout=CREATE_SECONDS).values():
        future.result(CREATE_SECONDS)
    wait_for(lambda: set(wanted) <= set(admin.list_topics(timeout=10).topics), CREATE_SECONDS, "the topics")


def default_processor(folder: Path, kafka: KafkaSettings, name: str) -> Worker:
    """`holdfast processor` with the session and the keeping that it has by default, not a test's quick ones."""
    session, keep = (ProcessorSettings.model_fields[f].default for f in ("session_timeout_seconds", "keep_seconds"))
    return processor(
        folder,
        kafka,
        name,
        HOLDFAST_PROCESSOR__SESSION_TIMEOUT_SECONDS=str(session),
        HOLDFAST_PROCESSOR__KEEP_SECONDS=str(keep),
    )
