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
from .figures import clock, print_json
from .history import of_migration, told
from .migration_reference import parse
from .situation import Situation, situation
from .status import OBSERVED

NEWEST = 5


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
    for sentence in sentences(one, decisions, actions):
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


def sentences(
    one: Situation, decisions: Sequence[Decision], actions: Sequence[ActionRecorded], newest: int = NEWEST
) -> list[str]:
    """The explanation, a sentence a line; of decisions and requests only the ``newest`` are told."""
    outcomes = newest_outcomes(actions)
    began = {action.cause_id: action for action in reversed(actions)}
    told_so_far = [_now(one)]
    first = max(len(decisions) - newest, 0)
    if first:
        told_so_far.append(f"{first} earlier decisions are in holdfast history {one.migration_id}.")
    told_so_far += [_decided(decision, outcomes.get(decision.decision_id)) for decision in decisions[first:]]
    if not decisions:
        told_so_far.append("No trigger has decided anything.")
    asked = [action for action in outcomes.values() if action.cause_kind == "request"]
    if len(asked) > newest:
        told_so_far.append(f"{len(asked) - newest} earlier requests are in holdfast history {one.migration_id}.")
    told_so_far += [_asked(began[action.cause_id], action) for action in asked[-newest:]]
    if one.figures is not None:
        quiet = [t.verdict for t in one.figures.triggers if t.reading in ("too_few", "absent", "missing", "no_data")]
        told_so_far += [f"Not judged at the moment: {verdict}." for verdict in quiet]
    return told_so_far


def _now(one: Situation) -> str:
    if one.observed_only:
        return f"{one.name} is {one.state()}. {OBSERVED}: what triggers decide is noted, and not done."
    if one.desired is None:
        return f"{one.name} is {one.state()}; the ledger wants nothing of it."
    wanted = one.desired
    guard = "" if one.over else f" Guard: {one.guard.sentence().rstrip('?')}."
    return (
        f"{one.name} is {one.state()}: {wanted.set_by} set it to {wanted.desired} at {clock(wanted.occurred_at)}"
        f" ({wanted.reason}).{guard}"
    )


def _decided(decision: Decision, outcome: ActionRecorded | None) -> str:
    what = f"At {clock(decision.decided_at)} {decision.trigger_id} decided {decision.action}: {decision.verdict}"
    if decision.reassertion:
        what += f" (asked again, {decision.reassertion}, because the breach lasts)"
    if outcome is None:
        return f"{what}; nothing was recorded of it yet: is holdfast actuator running?"
    reason = outcome.reason if outcome.reason and outcome.reason != decision.verdict else ""
    epoch = "" if outcome.epoch is None else f" at #{outcome.epoch}"
    return f"{what}; it is {outcome.outcome}{epoch}" + (f" ({reason})." if reason else ".")


def _asked(request: ActionRecorded, outcome: ActionRecorded) -> str:
    """A request's first record carries the person's own reason, unless it was refused at once."""
    wanted = "" if request.reason in ("", outcome.reason) else f" ({request.reason})"
    a = "an" if request.kind == "override" else "a"
    return f"At {clock(request.occurred_at)} {request.actor} asked for {a} {request.kind}{wanted}: {told(outcome)}."


def _as_plain(one: Situation, decisions: list[Decision], actions: list[ActionRecorded]) -> dict[str, Any]:
    outcomes = newest_outcomes(actions)
    return {
        "migration_id": one.migration_id,
        "epoch": one.epoch,
        "explanation": sentences(one, decisions, actions),
        "decisions": [{"decision": d, "outcome": outcomes.get(d.decision_id)} for d in decisions[-NEWEST:]],
        "next": one.next_commands(),
    }
