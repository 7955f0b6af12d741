"""What cannot be used goes byte for byte to the dead letters, with where it stood and why in its headers."""

from holdfast_schemas.transport.dead_letter import dead_letter_headers, that_fits
from holdfast_schemas.transport.topics import DEAD_LETTERS

from ..engine.records import LogRecord, Rejection
from .durability import Outgoing


def dead_letter(prefix: str, source_topic: str, record: LogRecord, why: Rejection) -> Outgoing:
    """The dead letter of a record: key and value as they came."""
    headers = dead_letter_headers(
        source_topic, record.partition, record.offset, record.timestamp, why.reason, why.error, record.headers
    )
    return Outgoing(f"{prefix}.{DEAD_LETTERS}", record.partition, *that_fits(record.key, record.value, headers))
