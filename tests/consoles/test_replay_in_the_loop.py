"""Dead letters that are sent again, and a real processor: a new report counts, an old one does not, garbage comes back once."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from holdfast_schemas.record import Record
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.dead_letter import dead_letter_headers
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import message_headers, messages_to_end, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import DEAD_LETTERS
from tests.consoles.conftest import Holdfast
from tests.runtime.migrations import Migration
from tests.runtime.workers import processor
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.long]


class Written:
    """Stands where a publisher does, and keeps what a migration says."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def publish(self, topic: Any, record: Record) -> None:
        self.records.append(record)


def test_a_new_report_counts_an_old_one_does_not_and_garbage_comes_back_once(
    kafka_settings: KafkaSettings, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = kafka_settings
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("HOLDFAST_KAFKA__TOPIC_PREFIX", kafka.topic_prefix)
    events = topics.events.full_name(kafka.topic_prefix)
    name = f"{kafka.topic_prefix}.{DEAD_LETTERS}"
    written = Written()
    migration = Migration(written, "orders")  # type: ignore[arg-type]
    migration.start()
    for _ in range(3):
        migration.report(100, 1)
    started, first, old, newer, newest = written.records

    def letters() -> list[Message]:
        return list(messages_to_end(kafka, name))

    def rows_attempted() -> int:
        shown = [one.record for one in read_to_end(kafka, topics.metrics)]
        return int(shown[-1].rows_attempted) if shown else -1

    with Publisher(kafka, "test") as publisher, processor(tmp_path, kafka) as worker:
        worker.wait_ready()
        for record in (started, first, newer):  # `old` was dead-lettered before `newer` came, `newest` after it
            publisher.publish(topics.events, record)
        for offset, record in enumerate((old, newest)):
            encoded = encode(record)
            headers = dead_letter_headers(events, 0, offset, 1_000, "unknown-major", "said then", encoded.headers)
            publisher.publish_bytes(name, encoded.key, encoded.value, headers, 0)
        publisher.publish_bytes(events, b"orders", b"\xff not JSON", [("trace", b"7")])
        publisher.flush()
        wait_for(lambda: len(letters()) == 3 and rows_attempted() == 200, 40, "the garbage, and what was reported", 0.2)

        assert holdfast("dead-letters", "replay", "--all", "--topic", "events").code == 3  # garbage is garbage
        wait_for(lambda: rows_attempted() == 300, 40, "the newest report", 0.2)
        assert holdfast("dead-letters", "replay", "--all").code == 3
        [place] = [f"{m.partition()}@{m.offset()}" for m in letters() if m.value() == b"\xff not JSON"]
        assert holdfast("dead-letters", "replay", place, "--force").code == 0
        wait_for(lambda: len(letters()) == 4, 40, "the garbage, come back", 0.2)
        [back] = [m for m in letters() if "holdfast_original_holdfast_replayed_from" in dict(message_headers(m))]
        assert (back.value(), dict(message_headers(back))["holdfast_original_trace"]) == (b"\xff not JSON", b"7")
        assert rows_attempted() == 300
        assert worker.figure("holdfast_processor_dead_letters_total") == 2, "old reports are no dead letters"
        assert worker.stop() == 0
