"""What stands on holdfast.control: the epochs that were sent, by us or by an actuator with another ledger."""

import re
from collections.abc import Iterable

from confluent_kafka import Message

from holdfast_schemas.desired_state import TOMBSTONE_EPOCH
from holdfast_schemas.errors import Undecodable
from holdfast_schemas.identity import NAME_PATTERN
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode
from holdfast_schemas.transport.reading import message_headers


def highest_epochs(messages: Iterable[Message]) -> dict[str, int]:
    """The highest epoch of each migration in a whole log; a part of it would be taken for all that was ever sent."""
    highest: dict[str, int] = {}
    for message in messages:
        if (seen := epoch_of(message)) is not None:
            migration_id, epoch = seen
            highest[migration_id] = max(epoch, highest.get(migration_id, 0))
    return highest


def epoch_of(message: Message) -> tuple[str, int] | None:
    """(migration_id, epoch) of a record or a tombstone; None where it says none, whatever bytes it has."""
    key = message.key()
    name = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
    value = message.value()
    if value is None:
        epoch = dict(message_headers(message)).get(TOMBSTONE_EPOCH)
        ours = epoch is not None and re.fullmatch(rb"[0-9]{1,18}", epoch) and re.fullmatch(NAME_PATTERN, name)
        return (name, int(epoch or 0)) if ours else None
    try:
        record = decode(topics.control, value.encode() if isinstance(value, str) else value, check_key=False)
    except Undecodable:
        return None  # a newer release's, or not ours: it says no epoch that we could go above
    return record.migration_id, record.epoch
