"""`holdfast dead-letters replay`: chosen dead letters go back to the topic that they came from, as they came."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from confluent_kafka import Message

from holdfast_schemas.errors import DeadLetterMissing, NotReplayed, Undecodable
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import Headers, decode
from holdfast_schemas.transport.dead_letter import ORIGINAL, REPLAYED_FROM, original_headers
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import CLIENT_LIMIT_BYTES, Publisher
from holdfast_schemas.transport.reading import message_headers, messages_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import DEAD_LETTERS, Topic

from .choices import Json
from .figures import print_json
from .shown import as_bytes, printable

REPLAYED: tuple[Topic[Any], ...] = (topics.events, topics.runs, topics.decisions, topics.requests)
"""Not the loop's own beats (watches, leases): one that is sent again would say that an old state is today's."""
FLUSH_EVERY = 1_000
Place = tuple[int, int]


@dataclass(frozen=True)
class Letter:
    """A dead letter, and where it goes; ``refused`` says why it does not."""

    place: Place
    topic: str = ""
    partition: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers | None = None
    type: str = ""
    refused: str | None = None

    @property
    def name(self) -> str:
        return f"{self.place[0]}@{self.place[1]}"


def replay(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="PARTITION@OFFSET", help="As dead-letters list shows them.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All of them, but for those that were replayed before and came back.")
    ] = False,
    topic: Annotated[str | None, typer.Option(help="Only those that came from this topic, such as events.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go where; send nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Send what still cannot be read, too.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters again to the topic that they came from: the same key, bytes and headers, and one header more.

    Do it when what refused them was mended: a reader was upgraded, a setting corrected. Sending twice does no harm,
    because each record is known by its id or seq: a report older than the newest that was read of its worker counts
    nothing, an old decision expires, and a request or decision that was taken in is not taken in again. A request that
    never was is carried out as if it were made now. What fails again is a dead letter again, and is not sent by itself.
    """
    if bool(which) == every:
        raise typer.BadParameter("name dead letters as PARTITION@OFFSET, or give --all")
    kafka = Settings.load().kafka
    chosen = None if every else {_place(text) for text in which or ()}
    done: list[Letter] = []
    refused = 0
    with Publisher(kafka, "holdfast/cli", delivery_seconds=10) as publisher:
        counts = {one.full_name(kafka.topic_prefix): publisher.partitions(one) for one in REPLAYED}
        for letter in _letters(kafka, chosen, topic, counts, force):
            refused += letter.refused is not None
            if letter.refused is None and not dry_run:
                publisher.publish_bytes(
                    letter.topic, letter.key, letter.value, letter.headers or [], letter.partition, CLIENT_LIMIT_BYTES
                )
            if as_json:
                done.append(letter)
            else:
                typer.echo(_line(letter, dry_run))
            if not letter.place[1] % FLUSH_EVERY:
                publisher.flush()
    if as_json:
        print_json([_as_plain(letter, dry_run) for letter in done])
    if refused:
        raise NotReplayed(refused)


def _place(text: str) -> Place:
    partition, at, offset = text.partition("@")
    if not (at and partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not PARTITION@OFFSET, such as 3@17")
    return int(partition), int(offset)


def _letters(
    kafka: KafkaSettings, chosen: set[Place] | None, topic: str | None, counts: dict[str, int], force: bool
) -> Iterator[Letter]:
    """The chosen letters, partition by partition in their order. Raises DeadLetterMissing before the first is given."""
    name = f"{kafka.topic_prefix}.{DEAD_LETTERS}"
    found: Iterator[Message] = iter(messages_to_end(kafka, name))
    if chosen is not None:
        of_chosen = [m for m in found if (m.partition(), m.offset()) in chosen]
        if missing := chosen - {(m.partition(), m.offset()) for m in of_chosen}:
            raise DeadLetterMissing(sorted(f"{partition}@{offset}" for partition, offset in missing))
        found = iter(of_chosen)
    for message in found:
        all_headers = message_headers(message)
        headers = dict(all_headers)
        source = headers.get("holdfast_topic", b"").decode(errors="replace")
        if topic is not None and source not in (topic, f"{kafka.topic_prefix}.{topic}"):
            continue
        if chosen is None and ORIGINAL + REPLAYED_FROM in headers:
            continue
        yield _letter(message, source, headers.get("holdfast_partition", b""), all_headers, name, counts, force)


def _letter(
    message: Message, source: str, stood: bytes, all_headers: Headers, name: str, counts: dict[str, int], force: bool
) -> Letter:
    place = (message.partition() or 0, message.offset() or 0)
    topic = next((one for one in REPLAYED if source in counts and source.endswith(f".{one.name}")), None)
    if topic is None:
        return Letter(place, refused=f"it came from {source or 'nowhere'}: only {', '.join(counts)} are sent again")
    key = None if message.key() is None else as_bytes(message.key())
    value = None if message.value() is None else as_bytes(message.value())
    if key is not None and not key.startswith(b"~"):
        partition = partition_of(key, counts[source])
    elif stood.isdigit() and int(stood) < counts[source]:
        partition = int(stood)  # what goes to a partition by name, or to every one: each has its own
    else:
        return Letter(place, refused=f"it names no partition of {source}")
    kept = [pair for pair in original_headers(all_headers) if pair[0] != REPLAYED_FROM]
    headers = [*kept, (REPLAYED_FROM, f"{name}-{place[0]}@{place[1]}".encode())]
    try:
        kind, refused = decode(topic, value, key).type, None
    except Undecodable as why:
        kind, refused = why.reason, None if force else str(why)
    return Letter(place, source, partition, key, value, headers, kind, refused)


def _line(letter: Letter, dry_run: bool) -> str:
    if letter.refused is not None:
        return f"{letter.name}  refused: {printable(letter.refused.encode())}"
    key = "no key" if letter.key is None else f"key {printable(letter.key)}"
    sent = "would go to" if dry_run else "sent to"
    return f"{letter.name}  {sent} {letter.topic}-{letter.partition}  {key}  {letter.type}, {len(letter.value or b'')} bytes"


def _as_plain(letter: Letter, dry_run: bool) -> dict[str, Any]:
    return {
        "letter": letter.name,
        "topic": letter.topic or None,
        "partition": letter.partition if letter.topic else None,
        "key": None if letter.key is None else printable(letter.key),
        "type": letter.type or None,
        "bytes": len(letter.value or b""),
        "headers": [name for name, _ in letter.headers or ()],
        "sent": letter.refused is None and not dry_run,
        "refused": letter.refused,
    }
