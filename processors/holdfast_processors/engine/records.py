"""What the engine reads and what it gives."""

from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast_schemas.decisions import Decision
from holdfast_schemas.metrics import MigrationMetrics


class LogRecord(NamedTuple):
    """A record of holdfast.events as the broker has it; ``timestamp`` is log time in milliseconds."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    """As they came: nothing is judged by them, a dead letter keeps them."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record cannot be used: a word for the dead letter's header, and the sentence."""

    reason: str
    error: str


@dataclass(slots=True)
class Output:
    """What one record led to. ``touched`` are the state keys that changed, ``urgent`` those to be kept at once."""

    decisions: list[Decision] = field(default_factory=list)
    metrics: list[MigrationMetrics] = field(default_factory=list)
    rejected: Rejection | None = None
    touched: set[str] = field(default_factory=set)
    urgent: set[str] = field(default_factory=set)
    tick: bool = False
