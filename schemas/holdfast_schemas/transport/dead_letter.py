"""What a dead letter says of itself: where the record stood, and why it could not be used. Key and value stay as they came."""

from .codec import Headers


def dead_letter_headers(topic: str, partition: int, offset: int, timestamp_ms: int, reason: str, error: str) -> Headers:
    """The headers of a dead letter. ``reason`` is a word to count by, ``error`` the sentence."""
    said = {
        "holdfast_topic": topic,
        "holdfast_partition": partition,
        "holdfast_offset": offset,
        "holdfast_timestamp_ms": timestamp_ms,
        "holdfast_reason": reason,
        "holdfast_error": error,
    }
    return [(name, str(value).encode()) for name, value in said.items()]
