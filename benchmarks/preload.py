"""A log of progress reports to read: many migrations, in turn, as their reporters would write it."""

import random
from collections.abc import Iterator

import orjson
from confluent_kafka import Producer

from holdfast_schemas.events import ProgressReported, RunStarted
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.sketch import LatencySketch, bucket
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings

SAMPLES = 20
"""Latencies in the sketch of one report."""


def reports(migrations: int, events: int, *, sketch: bool) -> Iterator[tuple[bytes, bytes]]:
    """(key, value): each migration's RunStarted, then ``events`` reports; nothing that a trigger acts on.

    The migrations are new ones at each call.
    """
    name = new_id()[-8:]
    dice, template = random.Random(1), {}
    for number in range(migrations):
        who = {"migration_id": f"m-{name}-{number:06}", "run_id": new_id(), "worker_id": new_id()}
        started = RunStarted(**who, seq=1, occurred_at=now(), target="orders", start_epoch=1, total_rows=10_000_000)
        yield who["migration_id"].encode(), started.model_dump_json().encode()
        report = ProgressReported(
            **who, seq=2, occurred_at=now(), start_epoch=1, applied_epoch=1, resumed_epoch=1, phase="backfill",
            total_rows=10_000_000, interval_seconds=1.0,
        )  # fmt: skip
        template[number] = report.model_dump(mode="json")
    for turn in range(events):
        report, step = template[turn % migrations], turn // migrations + 1
        rows = step * 500
        report |= {
            "seq": step + 1, "rows_attempted": rows, "rows_processed": rows - step, "error_count": step,
            "phase_rows_processed": rows - step, "busy_seconds": step * 0.8,
        }  # fmt: skip
        if sketch:
            found: dict[int, int] = {}
            for _ in range(SAMPLES):
                index = bucket(round(dice.lognormvariate(18.0, 0.4)))
                found[index] = found.get(index, 0) + 1
            report["batch_duration"] = LatencySketch.of(found).model_dump(mode="json")
        yield report["migration_id"].encode(), orjson.dumps(report)


def preload(kafka: KafkaSettings, migrations: int, events: int, *, sketch: bool) -> int:
    """Write that log to ``holdfast.events``; how many records it has."""
    producer = Producer({**kafka.librdkafka(), "partitioner": "murmur2_random", "linger.ms": 20, "log_level": 0})
    name, count = topics.events.full_name(kafka.topic_prefix), 0
    for key, value in reports(migrations, events, sketch=sketch):
        while True:
            try:
                producer.produce(name, value, key)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
        count += 1
    if left := producer.flush(120):
        raise RuntimeError(f"{left} records were not delivered in 120 s")
    return count
