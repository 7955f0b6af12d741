"""`holdfast replay FILE | --topic`: what the engine decides on recorded events, by the rules of then or by others."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast_schemas.errors import FileUnreadable
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import messages_to_end

from . import rules_file
from .choices import Json
from .figures import clock, print_json


def replay(
    file: Annotated[Path | None, typer.Argument(help="Recorded events: JSON lines, in log order.")] = None,
    topic: Annotated[bool, typer.Option("--topic", help="What holdfast.events holds now, in place of a file.")] = False,
    triggers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge by this rule set throughout, not by those in the log.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge recorded events again, and print each decision. Nothing is sent."""
    if (file is None) is not topic:
        raise typer.BadParameter("name a file of recorded events, or --topic; one of the two")
    from holdfast_processors.replay import read_lines
    from holdfast_processors.replay import replay as judged

    rules = None if triggers is None else rules_file.read(triggers)
    if file is None:
        decisions = list(judged(_of_the_topic(), rules))
    else:
        try:
            with file.open("rb") as lines:
                decisions = list(judged(read_lines(lines), rules))
        except (OSError, ValueError) as error:
            raise FileUnreadable(file, str(error)) from None
    if as_json:
        print_json(decisions)
        return
    for decision in decisions:
        superseded = " (superseded by a severer one)" if decision.superseded_by else ""
        typer.echo(
            f"{clock(decision.decided_at)}  {decision.migration_id}  {decision.action} by {decision.trigger_id}: "
            f"{decision.verdict}{superseded}"
        )
    typer.echo(f"{len(decisions)} decisions")


def _of_the_topic() -> Iterable[Any]:
    """Its records, each partition in its order."""
    from holdfast_processors.engine.records import LogRecord

    kafka = Settings.load().kafka
    for message in messages_to_end(kafka, topics.events.full_name(kafka.topic_prefix)):
        key, value = message.key(), message.value()
        yield LogRecord(
            message.partition() or 0,
            message.offset() or 0,
            message.timestamp()[1],
            key.encode() if isinstance(key, str) else key,
            value.encode() if isinstance(value, str) else value,
        )
