"""Where a migration stands: its figures, what the ledger wants of it, and whether it is guarded. Read from topics alone."""

from dataclasses import dataclass
from datetime import datetime

from holdfast_schemas.desired_state import DesiredState, Recovering
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.reading import messages_to_end
from holdfast_schemas.transport.security import KafkaSettings

from .guard import BEATS_READ, Guard, partitions
from .newest import Newest
from .recovering import word


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

    @property
    def recovery(self) -> Recovering | None:
        """How far the actuator is that takes the run back from the log, also after its end; None when none does."""
        wanted = self.desired
        if wanted is None or wanted.desired != "rollback":
            return None
        ended_so = self.over and self.figures is not None and self.figures.outcome == "rolled_back"
        return None if ended_so else wanted.recovery

    def state(self) -> str:
        """The state in a word or two: what workers report, and what the ledger wants where that differs."""
        if self.recovery is not None:
            return word(self.recovery)
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
    newest = Newest()
    _read_migrations(kafka, newest)
    known = newest.figures.keys() | newest.desired.keys()
    if not known:
        return []
    count = partitions(kafka)
    _read_guards(kafka, newest, sorted({partition_of(name, count) for name in known}))
    return situations_of(newest, count, now())


def situation(kafka: KafkaSettings, migration_id: str) -> Situation | None:
    """One migration; None where no topic knows it. Raises TopicMissing, BrokerUnreachable."""
    newest = Newest()
    count = partitions(kafka)
    partition = partition_of(migration_id, count)
    _read_migrations(kafka, newest, partition, migration_id.encode())
    if migration_id not in newest.figures.keys() | newest.desired.keys():
        return None
    _read_guards(kafka, newest, [partition])
    return next(one for one in situations_of(newest, count, now()) if one.migration_id == migration_id)


def situations_of(newest: Newest, partitions: int, at: datetime) -> list[Situation]:
    """Every migration of which something was taken in, by id, as it is at ``at``."""
    figures, desired = newest.figures, newest.desired
    return [
        Situation(name, figures.get(name), desired.get(name), newest.guard(partition_of(name, partitions), at))
        for name in sorted(figures.keys() | desired.keys())
    ]


def _read_migrations(
    kafka: KafkaSettings, newest: Newest, partition: int | None = None, only: bytes | None = None
) -> None:
    """Metrics and control, whole; of one partition and one key if given."""
    where = None if partition is None else [partition]
    for topic, take in ((topics.metrics, newest.take_figures), (topics.control, newest.take_desired)):
        for message in messages_to_end(kafka, topic.full_name(kafka.topic_prefix), where):
            if only is None or message.key() == only:
                take(message)


def _read_guards(kafka: KafkaSettings, newest: Newest, partitions: list[int]) -> None:
    """The ends of leases and watches."""
    for topic, take in ((topics.leases, newest.take_beat), (topics.watches, newest.take_watched)):
        for message in messages_to_end(kafka, topic.full_name(kafka.topic_prefix), partitions, BEATS_READ):
            take(message)
