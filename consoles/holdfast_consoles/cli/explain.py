"""`holdfast explain ID`: why a migration is as it is, in sentences, from its newest decisions and what became of them."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.errors import UnknownMigration
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics

from .choices import Json
from .completing import migration_ids
from .figures import print_json
from .history import of_migration
from .migration_reference import parse
from .prose import NEWEST, sentences
from .shown import printable_text
from .situation import Situation, situation


def explain(
    which: Annotated[str, typer.Argument(metavar="ID", help="The migration.", autocompletion=migration_ids)],
    as_json: Json = False,
) -> None:
    """Say why a migration is as it is, in sentences.

    Its newest decisions with their verdicts, what people asked for, and what became of each.
    """
    kafka = Settings.load().kafka
    migration_id = parse(which).migration_id
    one = situation(kafka, migration_id)
    if one is None:
        raise UnknownMigration(migration_id)
    decisions = of_migration(kafka, topics.decisions, migration_id)
    actions = of_migration(kafka, topics.actions, migration_id)
    if as_json:
        print_json(_as_plain(one, decisions, actions))
        return
    for sentence in told(one, decisions, actions):
        typer.echo(sentence)
    next_commands = [command for command in one.next_commands() if not command.startswith("holdfast explain")]
    for n, command in enumerate(next_commands):
        typer.echo(f"{'' if n else 'next':<5} {command}")


def newest_outcomes(actions: Sequence[ActionRecorded]) -> dict[str, ActionRecorded]:
    """Each cause's newest outcome: its highest revision; causes in the order in which they came."""
    newest: dict[str, ActionRecorded] = {}
    for action in actions:
        if action.cause_id not in newest or action.revision >= newest[action.cause_id].revision:
            newest[action.cause_id] = action
    return newest


def told(one: Situation, decisions: Sequence[Decision], actions: Sequence[ActionRecorded]) -> list[str]:
    """The explanation, as text that cannot drive a terminal."""
    began = {action.cause_id: action for action in reversed(actions)}
    return [printable_text(line) for line in sentences(one, decisions, newest_outcomes(actions), began)]


def _as_plain(one: Situation, decisions: list[Decision], actions: list[ActionRecorded]) -> dict[str, Any]:
    outcomes = newest_outcomes(actions)
    return {
        "migration_id": one.migration_id,
        "epoch": one.epoch,
        "explanation": told(one, decisions, actions),
        "decisions": [{"decision": d, "outcome": outcomes.get(d.decision_id)} for d in decisions[-NEWEST:]],
        "next": one.next_commands(),
    }
