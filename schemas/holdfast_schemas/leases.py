"""holdfast.leases: the guard lease. A runner without one pauses at its next checkpoint."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .record import Count, Record, Text, UtcTime


class GuardLease(Record):
    """A beat every 2 s to each partition, whether it renews or not; one that does not names the missing link."""

    type: Literal["GuardLease"] = "GuardLease"
    partition: Annotated[int, Field(ge=0)]
    actuator: Annotated[str, Field(min_length=1, max_length=100)]
    seq: Count
    renewed: bool
    missing: Text | None = None
    """What keeps the lease from being renewed, and who to ask; None when renewed."""
    beat_seconds: Annotated[float, Field(gt=0)] = 2.0
    lease_seconds: Annotated[float, Field(gt=0)] = 30.0
    occurred_at: UtcTime

    def key(self) -> str:
        return "~partition"

    def identity(self) -> str:
        return f"{self.actuator}/{self.partition}/{self.seq}"

    def time(self) -> datetime:
        return self.occurred_at
