"""By which rules each partition is judged, and what those rules are."""

from collections.abc import Mapping

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import Received, messages_to_end, received_from
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.watches import Watched

from .figures import ago

RECENT = 20_000
"""Offsets of one partition of events in which the rules are looked for first: the relay repeats them hourly."""


def without(watched: Mapping[int, Received[Watched] | None], wanted_hash: str, above_version: int) -> list[int]:
    """The partitions whose newest Watched does not name these rules under a version above ``above_version``."""
    return sorted(
        p
        for p, w in watched.items()
        if w is None or w.record.rules_hash != wanted_hash or w.record.rules_version <= above_version
    )


def agreement(watched: Mapping[int, Received[Watched] | None]) -> list[str]:
    """One line where all partitions agree, else a line for each version, and one for partitions that nobody watches."""
    groups: dict[tuple[int, str] | None, list[int]] = {}
    for partition, w in sorted(watched.items()):
        groups.setdefault(None if w is None else (w.record.rules_version, w.record.rules_hash), []).append(partition)
    lines = []
    for named, partitions in groups.items():
        which = ", ".join(map(str, partitions)) if len(groups) > 1 else f"all {len(partitions)}"
        if named is None:
            lines.append(f"partitions {which}: no Watched: is holdfast processor running?")
        else:
            newest = max(w.timestamp_ms for p, w in watched.items() if p in partitions and w is not None)
            when = ago(from_milliseconds(newest))
            lines.append(f"partitions {which}: judged by version {named[0]} ({named[1][:12]}), last {when}")
    return lines


def newest_applied(kafka: KafkaSettings) -> TriggersApplied | None:
    """The newest TriggersApplied of partition 0 (each partition holds it); None while the defaults stand."""
    for last in (RECENT, None):
        found: TriggersApplied | None = None
        for message in messages_to_end(kafka, topics.events.full_name(kafka.topic_prefix), [0], last):
            if message.key() != b"~rules" or (received := received_from(topics.events, message)) is None:
                continue
            if isinstance(received.record, TriggersApplied) and (
                found is None or received.record.version >= found.version
            ):
                found = received.record
        if found is not None:
            return found
    return None
