"""Where a migration stands: its figures, what the ledger wants of it, and whether it is guarded. Read from topics alone."""

import logging
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Message

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.errors import Undecodable
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.reading import messages_to_end, received_from
from holdfast_schemas.transport.security import KafkaSettings

from .guard import Guard, guards, partitions

log = logging.getLogger("holdfast.cli")


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

    @property
    def overridden_until(self) -> datetime | None:
        """Until when it runs in spite of its triggers, and who lets it (``desired.set_by``); None when nobody does."""
        wanted = self.desired
        return wanted.until if wanted is not None and wanted.desired == "run" and not self.over else None

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
    metrics = _newest_metrics(kafka)
    wanted = _desired(kafka)
    known = sorted(metrics.keys() | wanted.keys())
    if not known:
        return []
    count = partitions(kafka)
    held = guards(kafka, sorted({partition_of(name, count) for name in known}))
    return [Situation(n, metrics.get(n), wanted.get(n), held[partition_of(n, count)]) for n in known]


def situation(kafka: KafkaSettings, migration_id: str) -> Situation | None:
    """One migration; None where no topic knows it. Raises TopicMissing, BrokerUnreachable."""
    partition = partition_of(migration_id, partitions(kafka))
    metrics = _newest_metrics(kafka, [partition], migration_id).get(migration_id)
    desired = _desired(kafka, [partition]).get(migration_id)
    if metrics is None and desired is None:
        return None
    return Situation(migration_id, metrics, desired, guards(kafka, [partition])[partition])


def _newest_metrics(
    kafka: KafkaSettings, partitions: list[int] | None = None, only: str | None = None
) -> dict[str, MigrationMetrics]:
    """The newest figures of each migration, or of one: an hour of seconds is passed over, only the last are decoded."""
    newest: dict[str | bytes | None, Message] = {}
    wanted = None if only is None else only.encode()
    for message in messages_to_end(kafka, topics.metrics.full_name(kafka.topic_prefix), partitions):
        if wanted is None or message.key() == wanted:
            newest[message.key()] = message
    found = [received_from(topics.metrics, message) for message in newest.values()]
    return {r.record.migration_id: r.record for r in found if r is not None}


def _desired(kafka: KafkaSettings, partitions: list[int] | None = None) -> dict[str, DesiredState]:
    """The newest desired state of each migration, since when it stands; a tombstone takes it away.

    A state is sent again with each answer to a runner: the newest answer counts, and the time of the first sending.
    """
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
        before = newest.get(name)
        if before is None or state.epoch > before.epoch:
            newest[name] = state
        elif state.epoch == before.epoch:
            newest[name] = state.model_copy(update={"occurred_at": before.occurred_at})
    return newest
