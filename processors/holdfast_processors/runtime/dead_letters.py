"""What cannot be used goes byte for byte to the dead letters, with where it stood and why in its headers."""

from holdfast_schemas.transport.topics import DEAD_LETTERS

from ..engine.records import LogRecord, Rejection
from .durability import Outgoing


def dead_letter(prefix: str, source_topic: str, record: LogRecord, why: Rejection) -> Outgoing:
    """The dead letter of a record: key and value as they came."""
    return Outgoing(
        f"{prefix}.{DEAD_LETTERS}",
        record.partition,
        record.key,
        record.value,
        [
            ("holdfast_topic", source_topic.encode()),
            ("holdfast_partition", str(record.partition).encode()),
            ("holdfast_offset", str(record.offset).encode()),
            ("holdfast_timestamp_ms", str(record.timestamp).encode()),
            ("holdfast_reason", why.reason.encode()),
            ("holdfast_error", why.error.encode()),
        ],
    )
