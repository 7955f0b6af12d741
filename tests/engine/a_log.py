"""A partition's log for tests, record by record: ``log.tick()``, ``log.progress(...)``; time goes on as the test says."""

from collections.abc import Iterable
from typing import Any

from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord, Output
from holdfast_processors.engine.state import PartitionState
from holdfast_schemas import events
from holdfast_schemas.decisions import Decision
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.sketch import LatencySketch, bucket
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.triggers import RuleSet, Trigger, rules_hash

LOG = "0198c0de-0000-7000-8000-0000000000ff"
START_MS = 1_772_366_400_000


def run_id(n: int = 1) -> str:
    return f"0198c0de-0000-7000-8000-{n:012d}"


def worker_id(n: int = 1) -> str:
    return f"0198c0de-0000-7000-9000-{n:012d}"


def error_rule(threshold: float = 0.05, action: str = "pause", name: str = "errors", **also: Any) -> Trigger:
    return Trigger.model_validate(
        {"id": name, "metric": "error_rate", "threshold": threshold, "action": action, **also}, strict=False
    )


class Log:
    """Records of one partition, in order; ``now`` is log time in milliseconds."""

    def __init__(self, partition: int = 0, offset: int = 0) -> None:
        self.partition, self.offset, self.now = partition, offset, START_MS
        self.records: list[LogRecord] = []
        self.seqs: dict[tuple[str, str, str], int] = {}
        self.counters: dict[tuple[str, str, str], dict[str, float]] = {}

    def raw(self, value: bytes | None, key: bytes | None) -> LogRecord:
        record = LogRecord(self.partition, self.offset, self.now, key, value)
        self.offset += 1
        self.records.append(record)
        return record

    def add(self, event: events.Event) -> LogRecord:
        encoded = encode(event)
        return self.raw(encoded.value, encoded.key)

    def wait(self, seconds: float) -> "Log":
        self.now += round(seconds * 1000)
        return self

    def tick(self, seconds: float = 0, log_id: str = LOG) -> LogRecord:
        return self.wait(seconds).add(events.Tick(occurred_at=from_milliseconds(self.now), log_id=log_id))

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick(1)

    def _worker(self, run: int, worker: int, migration: str, seq: int | None) -> dict[str, Any]:
        place = (migration, run_id(run), worker_id(worker))
        self.seqs[place] = self.seqs.get(place, 0) + 1 if seq is None else seq
        return {
            "migration_id": migration,
            "run_id": place[1],
            "worker_id": place[2],
            "seq": self.seqs[place],
            "occurred_at": from_milliseconds(self.now),
        }

    def started(self, run: int = 1, worker: int = 1, migration: str = "m", **fields: Any) -> LogRecord:
        fields = {"target": "orders", "start_epoch": run, **fields}
        return self.add(events.RunStarted(**self._worker(run, worker, migration, None), **fields))

    def progress(
        self,
        attempted: int = 0,
        failed: int = 0,
        run: int = 1,
        worker: int = 1,
        migration: str = "m",
        seq: int | None = None,
        **fields: Any,
    ) -> LogRecord:
        """A report that adds ``attempted`` rows of which ``failed`` failed; ``fields`` are set as they are."""
        who = self._worker(run, worker, migration, seq)
        sums = self.counters.setdefault((migration, who["run_id"], who["worker_id"]), {"a": 0, "k": 0})
        sums["a"] += attempted
        sums["k"] += failed
        values: dict[str, Any] = {
            "start_epoch": run,
            "applied_epoch": run,
            "resumed_epoch": run,
            "rows_attempted": sums["a"],
            "error_count": sums["k"],
            "rows_processed": sums["a"] - sums["k"],
            "interval_seconds": 1.0,
        }
        return self.add(events.ProgressReported(**who, **(values | fields)))

    def worker_finished(
        self, outcome: str = "completed", run: int = 1, worker: int = 1, migration: str = "m"
    ) -> LogRecord:
        return self.add(events.WorkerFinished(**self._worker(run, worker, migration, None), outcome=outcome))

    def run_event(self, kind: type[events.RunEvent], run: int = 1, migration: str = "m", **fields: Any) -> LogRecord:
        values = {"migration_id": migration, "run_id": run_id(run), "start_epoch": run, "epoch": run + 1}
        return self.add(kind(**values, occurred_at=from_milliseconds(self.now), **fields))  # type: ignore[arg-type]

    def rules(self, version: int, *triggers: Trigger, **fields: Any) -> LogRecord:
        text = RuleSet(triggers=triggers).model_dump_json()
        values = {"version": version, "rules": text, "rules_hash": rules_hash(text)} | fields
        return self.add(events.TriggersApplied(occurred_at=from_milliseconds(self.now), **values))

    def health(
        self, milliseconds: float | None, seq: int, count: int = 10, target: str = "orders", **fields: Any
    ) -> LogRecord:
        """A sample of ``count`` response times of so many milliseconds; None: it carries no response times."""
        sketch = None
        if milliseconds is not None:
            sketch = LatencySketch(buckets=(bucket(round(milliseconds * 1e6)),), counts=(count,))
        return self.add(
            events.HealthSampled(
                occurred_at=from_milliseconds(self.now),
                target=target,
                reporter_id=worker_id(99),
                seq=seq,
                response_time=sketch,
                **fields,
            )
        )


def judge(log: Log | Iterable[LogRecord], state: PartitionState | None = None) -> tuple[PartitionState, list[Output]]:
    """The log through the engine."""
    records = list(log.records if isinstance(log, Log) else log)
    state = state or PartitionState(records[0].partition)
    return state, [step(state, record) for record in records]


def decisions(log: Log | Iterable[LogRecord]) -> list[Decision]:
    return [d for output in judge(log)[1] for d in output.decisions]


def begun(**fields: object) -> Log:
    """A run under the default rules, one worker, its baseline taken."""
    log = Log()
    log.tick()
    log.started(**fields)  # type: ignore[arg-type]
    log.progress(0)
    log.tick(1)
    return log


def ruled(*triggers: Trigger) -> Log:
    """The same under rules of one's own (version 1)."""
    log = Log()
    log.tick()
    log.rules(1, *triggers)
    log.started()
    log.progress(0)
    log.tick(1)
    return log
