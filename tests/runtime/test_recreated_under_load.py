"""holdfast.events is deleted and made again under a running processor: refused by name, and what the refusal says to do works."""

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import CHANGELOG
from tests.conftest import TopicsOfATest
from tests.runtime.migrations import Migration, records
from tests.runtime.workers import environment, processor
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
MIGRATIONS = 12
REPORTS = 40


def breach(publisher: Publisher, prefix: str) -> set[str]:
    """Migrations that pass both error rates; their names."""
    migrations = [Migration(publisher, f"{prefix}{n}") for n in range(MIGRATIONS)]
    for migration in migrations:
        migration.start()
    for _ in range(REPORTS):
        for migration in migrations:
            migration.report(1000, 150)
    publisher.flush()
    return {migration.migration_id for migration in migrations}


def decided(kafka: KafkaSettings) -> set[str]:
    return {key.decode() for *_, key, value, _ in records(kafka, topics.decisions.name) if key and value}


def delete(kafka_topics: TopicsOfATest, full_name: str) -> None:
    for future in kafka_topics.admin.delete_topics([full_name], operation_timeout=30).values():
        future.result(30)
    wait_for(lambda: full_name not in kafka_topics.admin.list_topics(timeout=10).topics, 30, f"{full_name} to be gone")


def create_what_is_missing(kafka: KafkaSettings) -> None:
    argv = [sys.executable, "-m", "holdfast_consoles", "topics", "create"]
    ran = subprocess.run(argv, env=environment(kafka), capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_it_is_refused_by_name_and_begins_anew_with_an_empty_changelog(
    kafka_settings: KafkaSettings, kafka_topics: TopicsOfATest, tmp_path: Path
) -> None:
    kafka, events = kafka_settings, topics.events.full_name(kafka_settings.topic_prefix)
    with processor(tmp_path, kafka, "first") as first:
        first.wait_ready()
        with Publisher(kafka, "test") as publisher:
            names = breach(publisher, "before")
            wait_for(lambda: names <= decided(kafka), 60, "decisions", 0.5)
        delete(kafka_topics, events)
        create_what_is_missing(kafka)
        assert first.process.wait(60) == 70, first.log()[-3000:]
    with processor(tmp_path, kafka, "refusing") as refusing:
        assert refusing.process.wait(60) == 70, refusing.log()[-3000:]
        assert "the topic was recreated" in refusing.log()
        cure = f"holdfast topics create after deleting {kafka.topic_prefix}.{CHANGELOG}"
        assert cure in refusing.log()
    delete(kafka_topics, f"{kafka.topic_prefix}.{CHANGELOG}")
    create_what_is_missing(kafka)
    with processor(tmp_path, kafka, "anew") as anew, Publisher(kafka, "test") as publisher:
        anew.wait_ready()
        names = breach(publisher, "after")
        wait_for(lambda: names <= decided(kafka), 60, "decisions of the new log", 0.5)
        assert anew.stop() == 0, anew.log()[-3000:]
