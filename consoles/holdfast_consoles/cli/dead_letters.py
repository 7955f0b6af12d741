"""`holdfast dead-letters`: what could not be used, with the reason that its headers carry."""

from collections import deque
from typing import Annotated, Any

import typer
from confluent_kafka import Message

from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport.reading import message_headers, messages_to_end
from holdfast_schemas.transport.topics import DEAD_LETTERS

from .choices import Json
from .dead_letters_replay import replay
from .figures import clock, print_json
from .shown import as_bytes, printable

SHOWN_BYTES = 100

app = typer.Typer(help="Records that could not be used, byte for byte as they came.", no_args_is_help=True)
app.command()(replay)


@app.command("list")
def list_letters(
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
) -> None:
    """List the newest dead letters: when, where from, why, and their first bytes."""
    kafka = Settings.load().kafka
    newest: deque[Message] = deque(maxlen=limit)
    total = 0
    letters = messages_to_end(kafka, f"{kafka.topic_prefix}.{DEAD_LETTERS}", last=limit)
    for message in sorted(letters, key=lambda letter: letter.timestamp()[1]):
        newest.append(message)
        total += 1
    shown = [letter(message) for message in newest]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        headers = ", ".join(f"{name} {value}" for name, value in one["headers"].items())
        typer.echo(f"{one['at']}  {one['partition']}@{one['offset']}  key {one['key']}  {one['bytes']} bytes")
        typer.echo(f"  {headers}")
        typer.echo(f"  {one['beginning']}")
    typer.echo(
        f"{len(shown)} dead letters" + (f" (the newest; --limit shows more than {limit})" if total > limit else "")
    )


def letter(message: Message) -> dict[str, Any]:
    """One dead letter as plain data; bytes that are no printable UTF-8 are shown escaped."""
    value = as_bytes(message.value())
    return {
        "at": clock(from_milliseconds(message.timestamp()[1])),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": None if message.key() is None else printable(as_bytes(message.key())),
        "headers": {name: printable(as_bytes(content)) for name, content in message_headers(message)},
        "bytes": len(value),
        "beginning": printable(value[:SHOWN_BYTES]),
    }
