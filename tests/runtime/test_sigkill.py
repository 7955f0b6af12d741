"""A worker killed under load: no decision missing, states exact, by the pure engine over the log read back."""

import threading
import time
from pathlib import Path

import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, assert_exact, records
from tests.runtime.workers import processor

pytestmark = pytest.mark.kafka
MIGRATIONS = 60
ROUNDS = 240
EVERY_SECONDS = 0.05


def load(kafka: KafkaSettings, half: threading.Event) -> None:
    """About 1,200 reports a second; each migration passes both error rates at a round of its own."""
    with Publisher(kafka, "test", delivery_seconds=30.0) as publisher:
        migrations = [Migration(publisher, f"m{n:02}") for n in range(MIGRATIONS)]
        for migration in migrations:
            migration.start()
        for number in range(ROUNDS):
            for n, migration in enumerate(migrations):
                migration.report(100, 40 if number > n * 4 else 0)
            if number == ROUNDS // 3:
                half.set()
            time.sleep(EVERY_SECONDS)


def test_a_sigkill_under_load_loses_no_decision_and_no_count(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with processor(tmp_path, kafka_settings, "first") as first:
        first.wait_ready()
        under_way = threading.Event()
        loading = threading.Thread(target=load, args=(kafka_settings, under_way))
        loading.start()
        try:
            assert under_way.wait(30)
            assert first.figure("holdfast_processor_decisions_total") > 0
            first.kill()
            with processor(tmp_path, kafka_settings, "second") as second:
                loading.join(60)
                second.wait_ready()
                assert second.stop() == 0, second.log()
        finally:
            loading.join(60)
    repeated = assert_exact(kafka_settings)
    assert len(records(kafka_settings, topics.decisions.name)) > MIGRATIONS  # else the load proved nothing
    print(f"decisions repeated with the same bytes after the kill: {repeated}")
