"""Protocol 11 and 12: the guard lease covers the whole loop. PURE: what keeps a partition's lease from being renewed."""

from dataclasses import dataclass
from typing import Literal, get_args

from .ledger import RulesInForce

Reason = Literal["ledger", "unread", "unwatched", "late", "decisions", "rules"]
REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True)
class MissingLink:
    """What keeps a lease from being renewed: a word to count by, and the sentence for people."""

    reason: Reason
    text: str


@dataclass(frozen=True)
class WatchedNote:
    """The newest Watched of a partition, as far as the lease rests on it; ``logged_ms`` is the broker's time."""

    logged_ms: int
    tick_ms: int
    decisions_end: int
    rules_version: int
    rules_hash: str


@dataclass(frozen=True)
class Loop:
    """What this actuator knows of one partition's loop."""

    partition: int
    ledger_missing: str | None
    rules: RulesInForce
    watched: WatchedNote | None
    assigned_ms: int
    """Broker time, or this machine's, when the partition was assigned."""
    broker_ms: int
    """The newest broker time read on the partition."""
    decisions_position: int
    """The offset of the next decision to take in."""
    unread_seconds: float = 0.0
    """Since anything was read on the partition; our own beats come back even when all else is silent."""


def missing_link(loop: Loop, fresh_seconds: float) -> MissingLink | None:
    """None when the lease may be renewed; else what is missing, and whom to ask."""
    if loop.ledger_missing is not None:
        return MissingLink("ledger", f"the ledger is not writable: {loop.ledger_missing}")
    if loop.unread_seconds > fresh_seconds:
        # Broker time stands still then, and the newest Watched would look fresh for ever.
        silent = loop.unread_seconds
        return MissingLink(
            "unread",
            f"nothing was read on partition {loop.partition} for {silent:.0f} s, not even our own beats: is the broker up?",
        )
    if loop.watched is None:
        silent = max(0.0, (loop.broker_ms - loop.assigned_ms) / 1000)
        return _unwatched(loop, silent)
    # Broker time stands still between two records read, so what passed since the last one is added.
    age = (loop.broker_ms - loop.watched.logged_ms) / 1000 + loop.unread_seconds
    if age > fresh_seconds:
        return _unwatched(loop, age)
    behind = (loop.watched.logged_ms - loop.watched.tick_ms) / 1000
    if behind > fresh_seconds:
        return MissingLink(
            "late", f"the processor judges partition {loop.partition} {behind:.0f} s late: is it overloaded?"
        )
    if loop.decisions_position < loop.watched.decisions_end:
        left = loop.watched.decisions_end - loop.decisions_position
        return MissingLink("decisions", f"{left} decisions of partition {loop.partition} are not taken in yet")
    if (loop.watched.rules_version, loop.watched.rules_hash) != (loop.rules.version, loop.rules.hash):
        return MissingLink(
            "rules",
            f"partition {loop.partition} is judged by rules version {loop.watched.rules_version}"
            f" ({loop.watched.rules_hash[:12]}), the ledger has {loop.rules.version} ({loop.rules.hash[:12]}):"
            " holdfast triggers show",
        )
    return None


def _unwatched(loop: Loop, seconds: float) -> MissingLink:
    return MissingLink(
        "unwatched", f"no Watched for partition {loop.partition} for {seconds:.0f} s: is holdfast processor running?"
    )
