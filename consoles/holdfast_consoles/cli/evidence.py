"""What `verify` judges: the log as it was recorded, and what the services said that they made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.states import final
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import messages_to_end, read_to_end
from holdfast_schemas.transport.security import KafkaSettings

from .explain import newest_outcomes

if TYPE_CHECKING:
    from holdfast_actuators.ledger.reading import LedgerOutcome
    from holdfast_processors.engine.records import LogRecord


@dataclass
class Evidence:
    """All topics that count, each read once and to its end."""

    records: "list[LogRecord]" = field(default_factory=list)
    """holdfast.events, each partition in log order."""
    until: dict[int, int] = field(default_factory=dict)
    """Each partition's last watched Tick: up to there everything decided is published."""
    decisions: list[Decision] = field(default_factory=list)
    metrics: list[MigrationMetrics] = field(default_factory=list)
    actions: list[ActionRecorded] = field(default_factory=list)


def collect(kafka: KafkaSettings) -> Evidence:
    """Read it all, backwards: what was watched, decided and shown first, then the events that it came from; outcomes last.

    Raises TopicMissing, BrokerUnreachable.
    """
    from holdfast_processors.engine.records import LogRecord

    found = Evidence()
    for watched in read_to_end(kafka, topics.watches):
        found.until[watched.partition] = max(watched.record.tick_offset, found.until.get(watched.partition, -1))
    found.decisions = [received.record for received in read_to_end(kafka, topics.decisions)]
    found.metrics = [received.record for received in read_to_end(kafka, topics.metrics)]
    for message in messages_to_end(kafka, topics.events.full_name(kafka.topic_prefix)):
        found.records.append(
            LogRecord(
                message.partition() or 0,
                message.offset() or 0,
                message.timestamp()[1],
                _bytes(message.key()),
                _bytes(message.value()),
            )
        )
    found.actions = [received.record for received in read_to_end(kafka, topics.actions)]
    return found


def ledger_faults(
    before: Sequence[ActionRecorded], rows: "Sequence[LedgerOutcome]", owed: int, after: Sequence[ActionRecorded]
) -> list[str]:
    """Where the ledger and holdfast.actions do not say the same.

    ``before`` and ``after`` are the topic as read before and after the ledger: the loop may be at work meanwhile. What was in
    the topic before must be in the ledger; what the ledger had and did not owe any more must be in the topic after. A final
    outcome that the topic no longer has is no fault: its retention is 90 days, the ledger's is longer.
    """
    known = {row.cause_id: row for row in rows}
    faults = []
    for cause_id, action in newest_outcomes(before).items():
        row = known.get(cause_id)
        if row is None:
            faults.append(
                f"{action.kind} {cause_id} is {action.outcome} in holdfast.actions, and not in the ledger at all"
            )
        elif action.revision > row.revision:
            faults.append(
                f"{action.kind} {cause_id} is {action.outcome} in holdfast.actions, ahead of the ledger ({row.outcome})"
            )
    told = newest_outcomes(after)
    for row in rows if not owed else ():
        newest = told.get(row.cause_id)
        if newest is None or newest.revision < row.revision:
            if newest is not None or not final(row.outcome):
                faults.append(
                    f"{row.kind} {row.cause_id} is {row.outcome} in the ledger, and holdfast.actions was not told"
                )
        elif newest.revision == row.revision and (newest.outcome, newest.epoch) != (row.outcome, row.epoch):
            faults.append(
                f"{row.kind} {row.cause_id} is {row.outcome} at epoch {row.epoch} in the ledger, "
                f"{newest.outcome} at epoch {newest.epoch} in holdfast.actions"
            )
    return faults


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
