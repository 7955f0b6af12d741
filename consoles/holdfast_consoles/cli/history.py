"""`holdfast history ID`: what was decided and asked for, by whom, and what became of it. Read from holdfast.actions."""

from typing import Annotated

import typer

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.errors import UnknownMigration
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import messages_to_end, plain_consumer, received_from
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import T, Topic

from .choices import Json
from .completing import migration_ids
from .figures import clock, print_json
from .migration_reference import parse
from .shown import printable_text


def history(
    which: Annotated[str, typer.Argument(metavar="ID", help="The migration.", autocompletion=migration_ids)],
    as_json: Json = False,
) -> None:
    """List every recorded action of a migration, oldest first."""
    migration_id = parse(which).migration_id
    found = of_migration(Settings.load().kafka, topics.actions, migration_id)
    if not found:
        raise UnknownMigration(migration_id)
    if as_json:
        print_json(found)
        return
    for action in found:
        typer.echo(f"{clock(action.occurred_at)}  {printable_text(told(action))}")
    if any(action.cause_kind == "request" for action in found):
        typer.echo("(asserted): the name that the request carried; nothing proves it")


def told(action: ActionRecorded) -> str:
    """``pause #4 effective, by trigger:error-rate-pause (412 ms after the decision): error_rate 0.083 > ...``."""
    epoch = "" if action.epoch is None else f" #{action.epoch}"
    asserted = " (asserted)" if action.cause_kind == "request" else ""
    left = "" if action.steps_left is None else f", {action.steps_left:,} steps to undo"
    why = "; ".join(dict.fromkeys(text for text in (action.verdict, action.reason) if text))
    return f"{action.kind}{epoch} {action.outcome}, by {action.actor}{asserted}{_took(action)}{left}" + (
        f": {why}" if why else ""
    )


def _took(action: ActionRecorded) -> str:
    began = action.decided_at or action.requested_at
    if began is None or action.effective_at is None:
        return ""
    return f" ({(action.effective_at - began).total_seconds() * 1000:,.0f} ms after it was asked)"


def of_migration(kafka: KafkaSettings, topic: Topic[T], migration_id: str) -> list[T]:
    """A migration's records of one topic, from its partition alone, in log order, repeats dropped by identity."""
    consumer = plain_consumer(kafka)
    try:
        count = partitions_of(consumer, kafka, topic.full_name(kafka.topic_prefix))
    finally:
        consumer.close()
    found: dict[str, T] = {}
    partition = partition_of(migration_id, count)
    for message in messages_to_end(kafka, topic.full_name(kafka.topic_prefix), [partition]):
        if message.key() == migration_id.encode() and (received := received_from(topic, message)) is not None:
            found.setdefault(received.record.identity(), received.record)
    return list(found.values())
