"""A processor that is killed with the states of thousands of migrations: the next one goes on with every count."""

import time
from pathlib import Path

import pytest

from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, assert_exact, kept
from tests.runtime.workers import processor
from tests.waiting import wait_for

from .processors import assert_verified, caught_up

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
MIGRATIONS = 2_000


def reported(publisher: Publisher, migrations: list[Migration], reports: int, failed: int) -> None:
    for _ in range(reports):
        for migration in migrations:
            migration.report(100, failed)
        publisher.flush()


def kept_migrations(kafka: KafkaSettings) -> int:
    states, _ = kept(kafka)
    return sum(not key.startswith("~") for keys in states.values() for key in keys)


@pytest.mark.long
def test_two_thousand_states_are_recovered_exactly(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with Publisher(kafka_settings, "test", delivery_seconds=60.0) as publisher:
        migrations = [Migration(publisher, f"m{n:04}") for n in range(MIGRATIONS)]
        with processor(tmp_path, kafka_settings, "first") as first:
            first.wait_ready()
            for migration in migrations:
                migration.start()
            reported(publisher, migrations, 2, 1)
            wait_for(lambda: kept_migrations(kafka_settings) == MIGRATIONS, 60, "every state to be kept", 1.0)
            first.kill()
        began = time.monotonic()
        with processor(tmp_path, kafka_settings, "second") as second:
            second.wait_ready()
            print(f"{MIGRATIONS:,} migrations: ready {time.monotonic() - began:.1f} s after the start")
            # One in ten is breached; the verdict counts rows from both sides of the kill, so a lost count is another verdict.
            reported(publisher, migrations[::10], 2, 40)
            since = time.time_ns() // 1_000_000
            wait_for(lambda: caught_up(kafka_settings, since), 60, "every partition to be watched", 1.0)
            assert second.stop() == 0, second.log()[-3000:]
    assert_exact(kafka_settings)
    assert_verified(kafka_settings)
