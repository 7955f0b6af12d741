"""What a dead letter says of itself: where the record stood, and why it could not be used. Key and value stay as they came."""

from collections.abc import Iterable

from .codec import Headers

ORIGINAL = "holdfast_original_"
"""Before the names of the record's own headers: a replay gives them back, and nobody takes a dead letter for the record."""
REPLAYED_FROM = "holdfast_replayed_from"
"""On a record that was replayed: the dead letter that it was."""
ForeignHeaders = Iterable[tuple[str, str | bytes | None]]
"""Headers as Kafka clients give them."""


def dead_letter_headers(
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    reason: str,
    error: str,
    original: ForeignHeaders = (),
) -> Headers:
    """The headers of a dead letter. ``reason`` is a word to count by, ``error`` the sentence, ``original`` the record's own."""
    said = {
        "holdfast_topic": topic,
        "holdfast_partition": partition,
        "holdfast_offset": offset,
        "holdfast_timestamp_ms": timestamp_ms,
        "holdfast_reason": reason,
        "holdfast_error": error,
    }
    ours = [(name, str(value).encode()) for name, value in said.items()]
    return ours + [(ORIGINAL + name, header_bytes(value)) for name, value in original]


def original_headers(letter: ForeignHeaders) -> Headers:
    """The headers that the record had before it was a dead letter; a header without a value has an empty one."""
    return [(n.removeprefix(ORIGINAL), header_bytes(value)) for n, value in letter if n.startswith(ORIGINAL)]


def header_bytes(value: str | bytes | None) -> bytes:
    """A header's value, as it is on the wire."""
    return value.encode() if isinstance(value, str) else value or b""
