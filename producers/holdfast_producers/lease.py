"""The guard lease as a worker counts it (protocol 8, 11, 12): in receipts and polls, never by wall clock. Pure.

The time of a poll counts only when the poll took about as long as it was asked to: one that took over twice its time-out
says that this host slept, not that the guard is gone. The worker's own acknowledgements are the exception: a worker that
the ledger has not heard for 30 s counts as paused there, so it has no lease, however long it slept.
"""

from dataclasses import dataclass

from holdfast_schemas.leases import GuardLease

HEARD_SECONDS = 30.0
"""A worker whose own acknowledgement has not been delivered for this long has no lease, whatever it receives."""


@dataclass(slots=True)
class LeaseCount:
    """What is left of the lease of one partition."""

    partition: int = -1
    from_offset: int = 0
    """The end of the partition at assignment: beats below it are history."""
    lease_seconds: float = 30.0
    granted: bool = False
    """Whether a beat has ever renewed it."""
    silent_seconds: float = 0.0
    """Counted since the last renewal (or since the start)."""
    seen: bool = False
    refusal: str | None = None
    """What the newest beat said is missing."""
    acknowledged_at: float | None = None
    """Monotonic seconds of the last delivered acknowledgement of this worker."""

    def beat(self, offset: int, lease: GuardLease) -> None:
        """A beat was received. One that does not renew extends nothing and names the missing link."""
        if offset < self.from_offset:
            return
        self.seen = True
        if lease.renewed:
            self.granted = True
            self.silent_seconds = 0.0
            self.lease_seconds = lease.lease_seconds
            self.refusal = None
        else:
            self.refusal = lease.missing or "the guard does not say why"

    def polled(self, took_seconds: float, timeout_seconds: float) -> None:
        """A poll came back, empty or not; its time counts unless it took over twice its time-out."""
        if took_seconds <= 2 * timeout_seconds:
            self.silent_seconds += took_seconds

    def acknowledged(self, now: float) -> None:
        """An acknowledgement of this worker was delivered at ``now`` (monotonic seconds)."""
        self.acknowledged_at = now

    def renewed(self) -> bool:
        """Whether the guard's beats hold the lease."""
        return self.granted and self.silent_seconds < self.lease_seconds

    def left_seconds(self) -> float:
        """What is left of the lease if no beat comes; 0 without one."""
        return max(0.0, self.lease_seconds - self.silent_seconds) if self.granted else 0.0

    def heard(self, now: float) -> bool:
        """Whether this worker's own acknowledgements are being delivered."""
        return self.acknowledged_at is not None and now - self.acknowledged_at < HEARD_SECONDS

    def held(self, now: float) -> bool:
        """Whether the worker has a lease."""
        return self.renewed() and self.heard(now)

    def missing_link(self, now: float) -> str:
        """Which part of the loop is missing, for the person who has to mend it."""
        if self.refusal is not None:
            return self.refusal
        if not self.renewed():
            where = f"on holdfast.leases partition {self.partition}"
            return f"no beat {where} for {self.silent_seconds:.0f} s: is holdfast actuator running?"
        if self.acknowledged_at is None:
            return "no acknowledgement of this worker has been delivered yet: is the broker up?"
        since = now - self.acknowledged_at
        return f"no acknowledgement of this worker has been delivered for {since:.0f} s: is the broker up?"
