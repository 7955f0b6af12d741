"""What any client may put on holdfast.events: the partition goes on, each bad record is a dead letter, byte for byte."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from holdfast_schemas.identity import new_id
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, assert_exact, records
from tests.runtime.test_main_path import errors_shown
from tests.runtime.workers import Worker, environment, processor
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
HOME = partition_of("orders", 12)
MEGABYTE = 1024 * 1024


def report(**changes: Any) -> bytes:
    """A report of a run of its own, with fields as no contract would let them out."""
    body = {
        "schema_version": "1.0", "type": "ProgressReported", "migration_id": "orders", "run_id": new_id(),
        "worker_id": new_id(), "seq": 1, "occurred_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return orjson.dumps(body | changes)


def raw(field: str, value: bytes) -> bytes:
    """A report in which ``field`` is these bytes of JSON, which orjson would not write."""
    return report(**{field: "HERE"}).replace(b'"HERE"', value)


BAD: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "another key": (b"other", report(), "wrong-key"),
    "no key": (None, report(), "wrong-key"),
    "a tombstone": (b"orders", None, "not-json"),
    "neither key nor value": (None, None, "not-json"),
    "an empty value": (b"orders", b"", "not-json"),
    "10,000 deep": (b"orders", b"[" * 10_000 + b"]" * 10_000, "not-json"),
    "10,000 deep in a field": (b"orders", raw("phase", b'{"a":' * 10_000 + b"1" + b"}" * 10_000), "not-json"),
    "NUL in the name": (b"or\0ders", report(migration_id="or\0ders"), "contract-violated"),
    "a lone surrogate in the name": (b"orders", raw("migration_id", rb'"\ud800"'), "not-json"),
    "half of UTF-8": (b"orders", raw("phase", b'"\xc3"'), "not-json"),
    "2 ** 63": (b"orders", report(rows_processed=2**63), "contract-violated"),
    "400 digits": (b"orders", raw("rows_processed", b"9" * 400), "contract-violated"),
    "5,000 digits": (b"orders", raw("rows_processed", b"9" * 5000), "not-json"),
    "1e999": (b"orders", raw("busy_seconds", b"1e999"), "contract-violated"),
    "an unknown type": (b"orders", report(type="Nonsense"), "unknown-type"),
    "a type that is a list": (b"orders", report(type=["Tick"]), "unknown-type"),
    "another major": (b"orders", report(schema_version="2.0"), "unknown-major"),
    "a major of 5,000 digits": (b"orders", report(schema_version="9" * 5000 + ".0"), "unknown-major"),
    "a superscript for a major": (b"orders", report(schema_version="².0"), "unknown-major"),
    "beyond the year 9999": (b"orders", report(occurred_at="9999-12-31T23:59:59-12:00"), "contract-violated"),
    "before the year 1": (b"orders", report(occurred_at="0001-01-01T00:00:00+12:00"), "contract-violated"),
    "900 KB": (b"orders", b"x" * 900_000, "not-json"),
    # A broker's limit is for compressed bytes: what a dead letter cannot hold may arrive, and must end no processor.
    "2 MB, compressed": (b"orders", report(type="x" * 2 * MEGABYTE), "unknown-type"),
    "6 MB, compressed": (b"orders", report(type="x" * 6 * MEGABYTE), "unknown-type"),
}
OTHER_CENTURIES = ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00-23:59")


@pytest.fixture
def others(kafka_settings: KafkaSettings) -> Iterator[Producer]:
    """Somebody else's client: no contract, records as large as it likes, compressed."""
    producer = Producer(
        kafka_settings.librdkafka()
        | {"message.max.bytes": 64 * MEGABYTE, "compression.type": "gzip", "linger.ms": 0, "batch.num.messages": 1}
    )
    yield producer
    assert producer.flush(30) == 0


def judged_and_stopped(kafka: KafkaSettings, worker: Worker, publisher: Publisher) -> None:
    """A good migration behind what is bad is judged, and the worker ends in order."""
    migration = Migration(publisher, "orders")
    migration.start()
    migration.report(1000, 10)
    publisher.flush()
    wait_for(lambda: worker.process.poll() is not None or errors_shown(kafka) == 10, 60, "figures behind what is bad")
    assert worker.process.poll() is None, worker.log()[-3000:]
    assert worker.stop() == 0, worker.log()[-3000:]


def assert_verified(kafka: KafkaSettings) -> None:
    command = [sys.executable, "-m", "holdfast_consoles", "verify"]
    ran = subprocess.run(command, env=environment(kafka), capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_is_a_dead_letter_and_the_partition_goes_on(
    kafka_settings: KafkaSettings, tmp_path: Path, others: Producer
) -> None:
    kafka, events = kafka_settings, topics.events.full_name(kafka_settings.topic_prefix)
    for key, value, _ in BAD.values():
        others.produce(events, value, key, partition=HOME)
    for n, year in enumerate(OTHER_CENTURIES):
        others.produce(events, report(migration_id=f"m{n}", occurred_at=year), f"m{n}".encode(), partition=HOME)
    assert others.flush(30) == 0
    with Publisher(kafka, "test") as publisher, processor(tmp_path, kafka) as worker:
        worker.wait_ready()
        judged_and_stopped(kafka, worker, publisher)
    letters = [(key, value, headers) for _, _, _, key, value, headers in records(kafka, topics.DEAD_LETTERS)]
    assert all(headers["holdfast_error"] for *_, headers in letters)
    reasons = dict(zip(BAD, [headers["holdfast_reason"].decode() for *_, headers in letters], strict=True))
    assert reasons == {name: reason for name, (*_, reason) in BAD.items()}
    found = [(key, value) for key, value, _ in letters]
    sent = [(key, b"" if key is value is None else value) for key, value, _ in BAD.values()]
    assert found[:-1] == sent[:-1]
    assert found[-1] == (None, b"")
    assert int(letters[-1][2]["holdfast_left_out_bytes"]) > 6 * MEGABYTE
    assert_exact(kafka)
    assert_verified(kafka)
    # The clock is log time: a report of another century moves no Watched.
    assert all(abs(one.record.tick_at.timestamp() - time.time()) < 300 for one in read_to_end(kafka, topics.watches))
