"""What a dead letter says of itself: where the record stood, and why it could not be used. Key and value stay as they came."""

from collections.abc import Iterable

from .codec import Headers

ORIGINAL = "holdfast_original_"
"""Before the names of the record's own headers: a replay gives them back, and nobody takes a dead letter for the record."""
REPLAYED_FROM = "holdfast_replayed_from"
"""On a record that was replayed: the dead letter that it was."""
LEFT_OUT = "holdfast_left_out_bytes"
"""On a dead letter of a record that no dead letter can hold: how large key, value and headers were that it goes without."""
MOST_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""Below the topic's max.message.bytes: a compressed record may pass every broker's limit and be larger once it is read."""
ERROR_CHARACTERS = 1_000
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
        "holdfast_error": error[:ERROR_CHARACTERS],  # it may quote what a stranger sent
    }
    ours = [(name, str(value).encode()) for name, value in said.items()]
    return ours + [(ORIGINAL + name, header_bytes(value)) for name, value in original]


def that_fits(key: bytes | None, value: bytes | None, headers: Headers) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of a dead letter; beyond MOST_BYTES only what we say of it, so that its log goes on."""
    size = len(key or b"") + len(value or b"") + sum(len(name.encode()) + len(content) for name, content in headers)
    if size <= MOST_BYTES:
        # aiokafka sends no record without key and value: nothing at all is told as an empty value.
        return key, b"" if key is None and value is None else value, headers
    ours = [(name, content) for name, content in headers if not name.startswith(ORIGINAL)]
    return None, b"", [*ours, (LEFT_OUT, str(size).encode())]


def original_headers(letter: ForeignHeaders) -> Headers:
    """The headers that the record had before it was a dead letter; a header without a value has an empty one."""
    return [(n.removeprefix(ORIGINAL), header_bytes(value)) for n, value in letter if n.startswith(ORIGINAL)]


def header_bytes(value: str | bytes | None) -> bytes:
    """A header's value, as it is on the wire."""
    return value.encode() if isinstance(value, str) else value or b""
