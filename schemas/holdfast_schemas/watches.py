"""holdfast.watches: the processors' proof that a partition is being judged. The guard's lease rests on it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .identity import LogId, TargetName
from .record import Count, Record, Seconds, UtcTime


class Watched(Record):
    """Once a second a partition, at an explicit partition: the newest Tick whose decisions are all acknowledged."""

    type: Literal["Watched"] = "Watched"
    partition: Annotated[int, Field(ge=0)]
    log_id: LogId
    tick_offset: Count
    tick_at: UtcTime
    """Log time of that Tick."""
    decisions_end: Count
    """The offset after the last acknowledged decision of this partition: an actuator there has drained it."""
    rules_version: Count
    rules_hash: str
    lag_seconds: Seconds
    fresh_targets: tuple[TargetName, ...] = ()
    """Targets with a health sample under 30 s old."""
    occurred_at: UtcTime

    def key(self) -> str:
        return "~partition"

    def identity(self) -> str:
        return f"{self.log_id}/{self.partition}/{self.tick_offset}"

    def time(self) -> datetime:
        return self.occurred_at
