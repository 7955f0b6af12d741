"""Where a migration stands: its figures, what the ledger wants of it, and whether it is guarded. Read from topics alone."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.errors import Undecodable
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import Received, messages_to_end, plain_consumer, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.watches import Watched

from .figures import age

log = logging.getLogger("holdfast.cli")
BEATS_READ = 40
"""Of leases and watches only this many offsets a partition are read: more than a lease's length of beats."""


@dataclass(frozen=True)
class Guard:
    """The guard of one partition, as the log shows it at ``at``."""

    beat: Received[GuardLease] | None
    renewed: Received[GuardLease] | None
    watched: Received[Watched] | None
    at: datetime

    @property
    def held(self) -> bool:
        """Whether a lease that was renewed has not run out."""
        return self.renewed is not None and self._since(self.renewed) < self.renewed.record.lease_seconds

    def sentence(self) -> str:
        """The lease's age, or the link that is missing and whom to ask."""
        if self.beat is None or self._since(self.beat) > self.beat.record.lease_seconds:
            heard = "" if self.beat is None else f" for {age(self._since(self.beat))}"
            return f"NO GUARD: no lease beat{heard}: is holdfast actuator running?"
        if not self.beat.record.renewed:
            still = "lease runs out" if self.held else "NO GUARD"
            return f"{still}: {self.beat.record.missing}"
        judged = "never judged" if self.watched is None else f"judged {age(self._since(self.watched))} ago"
        return f"lease renewed {age(self._since(self.beat))} ago by {self.beat.record.actuator}, {judged}"

    def _since(self, received: Received[GuardLease] | Received[Watched]) -> float:
        return (self.at - from_milliseconds(received.timestamp_ms)).total_seconds()


@dataclass(frozen=True)
class Situation:
    """One migration; ``metrics`` is None before the processor saw it, ``desired`` in observe mode and after the close."""

    migration_id: str
    metrics: MigrationMetrics | None
    desired: DesiredState | None
    guard: Guard

    @property
    def epoch(self) -> int:
        """The newest epoch that is known: the ledger's, else the one that the workers last reported."""
        if self.desired is not None:
            return self.desired.epoch
        return self.metrics.applied_epoch if self.metrics is not None else 0

    @property
    def name(self) -> str:
        """``orders-add-currency#7``."""
        return f"{self.migration_id}#{self.epoch}"

    @property
    def figures(self) -> MigrationMetrics | None:
        """The metrics, unless they are an earlier run's."""
        if self.metrics is None or (self.desired is not None and self.desired.run_id != self.metrics.run_id):
            return None
        return self.metrics

    @property
    def observed_only(self) -> bool:
        """Whether nothing that is decided will be done to it."""
        return self.figures is not None and self.figures.mode == "observe"

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.figures is not None and self.figures.state == "finished"

    def state(self) -> str:
        """The state in a word or two: what workers report, and what the ledger wants where that differs."""
        if self.figures is None:
            starts = self.desired is None or self.desired.desired in ("none", "run")
            return (
                "starting" if self.desired is None or starts else f"not reported yet, {self.desired.desired} requested"
            )
        live = self.figures.state
        if live == "finished":
            return str(self.figures.outcome or live).replace("_", " ")
        wanted = (
            None if self.desired is None else {"pause": "paused", "rollback": "rolling_back"}.get(self.desired.desired)
        )
        shown = live.replace("_", " ")
        return shown if wanted in (None, live) or self.desired is None else f"{shown}, {self.desired.desired} requested"

    def next_commands(self) -> list[str]:
        """What a person would type next."""
        explain = f"holdfast explain {self.migration_id}"
        if self.over or self.observed_only:
            return [explain, f"holdfast history {self.migration_id}"]
        resume, rollback = (f"holdfast {kind} {self.name} --reason TEXT" for kind in ("resume", "rollback"))
        wanted = None if self.desired is None else self.desired.desired
        if wanted == "rollback":
            return [explain]
        if wanted == "pause":
            return [explain, resume, rollback]
        return [f"holdfast pause {self.migration_id} --reason TEXT", rollback]


def situations(kafka: KafkaSettings) -> list[Situation]:
    """Every migration that metrics or control know, by id. Raises TopicMissing, BrokerUnreachable."""
    metrics = {r.record.migration_id: r.record for r in read_to_end(kafka, topics.metrics)}
    wanted = _desired(kafka)
    known = sorted(metrics.keys() | wanted.keys())
    if not known:
        return []
    count = _partitions(kafka)
    guards = _guards(kafka, sorted({partition_of(name, count) for name in known}))
    return [Situation(n, metrics.get(n), wanted.get(n), guards[partition_of(n, count)]) for n in known]


def situation(kafka: KafkaSettings, migration_id: str) -> Situation | None:
    """One migration; None where no topic knows it. Raises TopicMissing, BrokerUnreachable."""
    partition = partition_of(migration_id, _partitions(kafka))
    metrics = None
    for received in read_to_end(kafka, topics.metrics, [partition]):
        if received.record.migration_id == migration_id:
            metrics = received.record
    desired = _desired(kafka, [partition]).get(migration_id)
    if metrics is None and desired is None:
        return None
    return Situation(migration_id, metrics, desired, _guards(kafka, [partition])[partition])


def newest_watched(kafka: KafkaSettings) -> Mapping[int, Received[Watched] | None]:
    """Each partition's newest Watched; None where there is none."""
    found: dict[int, Received[Watched] | None] = dict.fromkeys(range(_partitions(kafka)))
    found.update({r.partition: r for r in read_to_end(kafka, topics.watches, last=BEATS_READ)})
    return found


def _guards(kafka: KafkaSettings, partitions: list[int]) -> dict[int, Guard]:
    beats: dict[int, Received[GuardLease]] = {}
    renewed: dict[int, Received[GuardLease]] = {}
    for beat in read_to_end(kafka, topics.leases, partitions, last=BEATS_READ):
        beats[beat.partition] = beat
        if beat.record.renewed:
            renewed[beat.partition] = beat
    watched = {r.partition: r for r in read_to_end(kafka, topics.watches, partitions, last=BEATS_READ)}
    at = datetime.now(UTC)
    return {p: Guard(beats.get(p), renewed.get(p), watched.get(p), at) for p in partitions}


def _desired(kafka: KafkaSettings, partitions: list[int] | None = None) -> dict[str, DesiredState]:
    """The newest desired state of each migration; a tombstone takes it away."""
    newest: dict[str, DesiredState] = {}
    for message in messages_to_end(kafka, topics.control.full_name(kafka.topic_prefix), partitions):
        key = message.key() or b""
        name = key if isinstance(key, str) else key.decode(errors="replace")
        value = message.value()
        if value is None:
            newest.pop(name, None)
            continue
        try:
            state = decode(topics.control, value if isinstance(value, bytes) else value.encode(), check_key=False)
        except Undecodable as why:  # a newer release's: what older ones said still stands
            log.warning("control-%s@%s is left out: %s", message.partition(), message.offset(), why)
            continue
        if name not in newest or state.epoch >= newest[name].epoch:
            newest[name] = state
    return newest


def _partitions(kafka: KafkaSettings) -> int:
    consumer = plain_consumer(kafka)
    try:
        return partitions_of(consumer, kafka, topics.metrics.full_name(kafka.topic_prefix))
    finally:
        consumer.close()
