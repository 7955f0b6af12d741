"""What cannot be used goes to the dead letters as it came, byte for byte, with where it was and why."""

import logging

from confluent_kafka import Message

from holdfast_schemas.errors import Undecodable
from holdfast_schemas.transport.dead_letter import dead_letter_headers, that_fits
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import message_headers
from holdfast_schemas.transport.topics import DEAD_LETTERS

log = logging.getLogger("holdfast.actuator")
LIMIT_BYTES = 4 * 1024 * 1024
"""More than a record may have: a dead letter is whatever the broker took."""


def send_dead_letter(publisher: Publisher, prefix: str, message: Message, why: Undecodable) -> None:
    """Deliver the message to the dead letters; only then may its offset be committed. Raises NotDelivered."""
    log.warning("dead letter from %s-%s@%s: %s", message.topic(), message.partition(), message.offset(), why.reason)
    headers = dead_letter_headers(
        str(message.topic()),
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        why.reason,
        str(why),
        message_headers(message),
    )
    publisher.publish_bytes(
        f"{prefix}.{DEAD_LETTERS}",
        *that_fits(as_bytes(message.key()), as_bytes(message.value()), headers),
        message.partition(),
        limit_bytes=LIMIT_BYTES,
    )
    publisher.flush()


def as_bytes(value: str | bytes | None) -> bytes | None:
    """A message's key or value, as it is on the wire."""
    return value.encode() if isinstance(value, str) else value
