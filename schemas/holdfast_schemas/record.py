"""What every contract has in common: frozen, strict, finite, versioned, and with an identity and a time for its headers."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MAJOR = 1

SchemaVersion = Annotated[str, StringConstraints(pattern=rf"^{MAJOR}\.\d{{1,4}}$")]
"""``major.minor``: a minor is additive and read by all, another major is refused (and dead-lettered) by name."""


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:  # pydantic makes a refusal of a ValueError only
        raise ValueError("allowed is a time in the years 1 to 9999 in UTC") from None


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""RFC 3339, in UTC whatever offset it came with."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Field(ge=0)]
Text = Annotated[str, StringConstraints(max_length=512)]
"""What a person or a verdict says: at most 512 characters."""


class Frozen(BaseModel):
    """A part of a record. Strict (a string is never taken for a number), finite (no NaN, no infinity), immutable.

    Unknown fields are read past: they are a newer minor version's.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="ignore")


class Record(Frozen):
    """A record of a topic; subclasses name themselves in ``type``."""

    schema_version: SchemaVersion = "1.0"

    def key(self) -> str:
        """The record's Kafka key: the migration's id, or a key of Holdfast's own, which begins with ``~``."""
        raise NotImplementedError

    def identity(self) -> str:
        """The CloudEvents id: the same for a repeat of the same record."""
        raise NotImplementedError

    def time(self) -> datetime:
        """The CloudEvents time: when the sender says that it happened. Judgement never uses it: time is in the log."""
        raise NotImplementedError


class KeptRecord(Record):
    """A record that the ledger keeps as it came: fields of a newer minor version are carried along, not read past."""

    model_config = ConfigDict(extra="allow")


def from_milliseconds(milliseconds: int) -> datetime:
    """Log time (Kafka's milliseconds since 1970) as a UTC datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_milliseconds(time: datetime) -> int:
    """A datetime as Kafka's milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def now() -> datetime:
    """The wall clock, for the times that senders claim."""
    return datetime.now(UTC)
