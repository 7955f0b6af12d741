"""Migrations that report to holdfast.events, and what their log must lead to: the pure engine over the log read back."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from holdfast_processors.engine import keeping
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord
from holdfast_processors.engine.state import PARTITION_KEY, PartitionState
from holdfast_processors.runtime.recovery import unpacked
from holdfast_schemas.events import ProgressReported, RunStarted
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import messages_to_end
from holdfast_schemas.transport.security import KafkaSettings


@dataclass
class Migration:
    """One run with one worker; each report attempts ``rows`` rows, ``failed`` of which fail."""

    publisher: Publisher
    migration_id: str
    run_id: str = field(default_factory=new_id)
    worker_id: str = field(default_factory=new_id)
    seq: int = 0
    attempted: int = 0
    errors: int = 0

    def start(self) -> None:
        self.seq += 1
        record = RunStarted(
            migration_id=self.migration_id, run_id=self.run_id, worker_id=self.worker_id, seq=self.seq,
            occurred_at=now(), target="orders", start_epoch=1, total_rows=1_000_000,
        )  # fmt: skip
        self.publisher.publish(topics.events, record)
        self.report(0, 0)

    def report(self, rows: int, failed: int) -> None:
        self.seq += 1
        self.attempted += rows
        self.errors += failed
        record = ProgressReported(
            migration_id=self.migration_id, run_id=self.run_id, worker_id=self.worker_id, seq=self.seq,
            occurred_at=now(), start_epoch=1, applied_epoch=1, resumed_epoch=1,
            rows_processed=self.attempted - self.errors,
            rows_attempted=self.attempted, error_count=self.errors, interval_seconds=1.0,
        )  # fmt: skip
        self.publisher.publish(topics.events, record)


def records(
    kafka: KafkaSettings, name: str
) -> list[tuple[int, int, int, bytes | None, bytes | None, dict[str, bytes]]]:
    """(partition, offset, timestamp, key, value, headers) of everything in a topic."""
    found = []
    for m in messages_to_end(kafka, f"{kafka.topic_prefix}.{name}"):
        headers = dict(m.headers() or [])  # type: ignore[arg-type]
        found.append((m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.key(), m.value(), headers))
    return sorted(found, key=lambda r: (r[0], r[1]))  # type: ignore[return-value]


@dataclass
class Judged:
    """What the pure engine makes of the log: decisions as bytes, and each partition's states as they would be kept."""

    decisions: Counter[bytes]
    states: dict[int, dict[str, bytes | None]]
    rejected: int


def judged_again(kafka: KafkaSettings, until: dict[int, int]) -> Judged:
    """The engine over each partition's log up to and with the offset ``until`` (of the partition's kept record)."""
    judged = Judged(Counter(), {}, 0)
    states: dict[int, PartitionState] = {}
    for partition, offset, timestamp, key, value, _ in records(kafka, topics.events.name):
        if offset > until.get(partition, -1):
            continue
        state = states.setdefault(partition, PartitionState(partition))
        output = step(state, LogRecord(partition, offset, timestamp, key, value))
        judged.decisions.update(d.model_dump_json().encode() for d in output.decisions)
        judged.rejected += output.rejected is not None
        kept = judged.states.setdefault(partition, {})
        kept |= dict.fromkeys(output.touched)
    for partition, kept in judged.states.items():
        for touched in kept:
            kept[touched] = keeping.encode(states[partition], touched)
    return judged


def kept(kafka: KafkaSettings) -> tuple[dict[int, dict[str, bytes | None]], dict[int, int]]:
    """(states, offset of each partition's own record) in the changelog: the highest offset wins."""
    found: dict[int, dict[str, tuple[int, bytes | None]]] = {}
    for partition, _, _, key, value, headers in records(kafka, topics.CHANGELOG):
        assert key is not None
        offset, body = unpacked(value, headers.items())
        states = found.setdefault(partition, {})
        if offset >= states.get(key.decode(), (-2, None))[0]:
            states[key.decode()] = (offset, body)
    bodies = {p: {key: body for key, (_, body) in states.items()} for p, states in found.items()}
    return bodies, {p: states[PARTITION_KEY][0] for p, states in found.items() if PARTITION_KEY in states}


def facts(body: bytes | None) -> Any:
    """A kept state without the offset inside it: that of the load it came from, not a fact of the log."""
    return None if body is None else {k: v for k, v in orjson.loads(body).items() if k != "offset"}


def assert_exact(kafka: KafkaSettings) -> int:
    """Nothing missing, nothing invented, states exact, judged by the pure engine. Returns how many decisions were repeated."""
    states, until = kept(kafka)
    again = judged_again(kafka, until)
    told = Counter(value for *_, value, _ in records(kafka, topics.decisions.name) if value is not None)
    missing = again.decisions.keys() - told.keys()
    assert not missing, f"{len(missing)} of {len(again.decisions)} decisions are missing"
    beyond = sum(1 for value in told if value not in again.decisions)
    assert beyond == 0, f"{beyond} decisions that the log does not lead to"
    for partition, expected in again.states.items():
        for key, body in expected.items():
            assert facts(states[partition].get(key)) == facts(body), (
                f"the state of {key} in partition {partition} differs"
            )
    return told.total() - len(told)
