"""How long a runner went on without its guard: the table's audit against the beats on holdfast.leases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import psycopg

from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import messages_to_end, received_from
from holdfast_schemas.transport.security import KafkaSettings

from .checker import RUNNER_NAME, Check

WATCHED_FRESH_SECONDS = 5.0
"""The newest Watched may be this old before the lease is renewed no more (protocol 11)."""
BEFORE = timedelta(seconds=1)
"""How far back batches are looked at: the runner worked all that time."""


@dataclass(frozen=True)
class Loss:
    """One part of the loop killed and brought back; instants by this machine's clock, which broker and target share."""

    part: str
    killed_at: datetime
    back_at: datetime
    """When it was started again."""


@dataclass(frozen=True)
class Unguarded:
    """What one loss led to, in seconds and rows."""

    part: str
    lease_seconds: float
    batch_seconds: float
    """The longest time between two batches before the loss."""
    seconds: float
    """From the kill to the runner's last write."""
    rows_after: int
    """Rows that the runner wrote between the lease's end + one batch and the guard's return."""
    paused_seconds: float

    @property
    def limit_seconds(self) -> float:
        """The most that the protocol allows."""
        return WATCHED_FRESH_SECONDS + self.lease_seconds + self.batch_seconds

    def check(self) -> Check:
        """Whether the runner stopped in time, and wrote nothing until the guard was back."""
        return Check(
            f"without {self.part} the runner paused by itself, and wrote nothing until the guard was back",
            self.rows_after == 0 and self.seconds <= self.limit_seconds and self.paused_seconds > 0,
            f"{self.seconds:.1f} s unguarded, at most {self.limit_seconds:.1f} s allowed ({WATCHED_FRESH_SECONDS:g} + lease"
            f" {self.lease_seconds:g} + batch {self.batch_seconds:.2f}); {self.rows_after} rows in {self.paused_seconds:.1f} s",
        )


def beats(kafka: KafkaSettings, partition: int) -> list[tuple[datetime, GuardLease]]:
    """Every beat of a partition, with the broker's time."""
    name = topics.leases.full_name(kafka.topic_prefix)
    received = (received_from(topics.leases, message) for message in messages_to_end(kafka, name, [partition]))
    return [(from_milliseconds(beat.timestamp_ms), beat.record) for beat in received if beat is not None]


def owner(kafka: KafkaSettings, partition: int) -> str:
    """The actuator that beats on a partition."""
    return beats(kafka, partition)[-1][1].actuator


def unguarded(dsn: str, kafka: KafkaSettings, partition: int, loss: Loss) -> Unguarded:
    """Measure one loss, once the runner goes on. Raises ValueError where there are no beats before and after it."""
    renewed = [(at, beat) for at, beat in beats(kafka, partition) if beat.renewed]
    held = [(at, beat.lease_seconds) for at, beat in renewed if at < loss.back_at]
    returned = [at for at, _ in renewed if at >= loss.back_at]
    if not held or not returned:
        raise ValueError(f"no renewed beat before or after the loss of {loss.part}")
    renewed_at, lease_seconds = held[-1]
    with psycopg.connect(dsn) as db:
        writes = [
            at
            for (at,) in db.execute(
                "SELECT DISTINCT at FROM audit.write WHERE application_name LIKE %s || '%%' AND at < %s ORDER BY 1",
                (RUNNER_NAME, returned[0]),
            )
        ]
        batch_seconds = _longest_gap([at for at in writes if loss.killed_at - BEFORE < at < loss.killed_at])
        end = renewed_at + timedelta(seconds=lease_seconds + batch_seconds)
        row = db.execute(
            "SELECT count(*) FROM audit.write WHERE application_name LIKE %s || '%%' AND at > %s AND at < %s",
            (RUNNER_NAME, end, returned[0]),
        ).fetchone()
    last = max((at for at in writes if at >= loss.killed_at), default=loss.killed_at)
    return Unguarded(
        loss.part,
        lease_seconds,
        batch_seconds,
        (last - loss.killed_at).total_seconds(),
        int(row[0]) if row else 0,
        (returned[0] - end).total_seconds(),
    )


def _longest_gap(instants: Sequence[datetime]) -> float:
    return max(((later - earlier).total_seconds() for earlier, later in pairwise(instants)), default=0.0)
