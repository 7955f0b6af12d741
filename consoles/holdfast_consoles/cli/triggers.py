"""`holdfast triggers check | apply | show`: the rules that the log is judged by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from holdfast_schemas.errors import RequestUnanswered, RulesNotInForce
from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import from_milliseconds, now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import Received, messages_to_end, received_from
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.triggers import DEFAULT_RULES_HASH, DEFAULT_RULES_TEXT, METRIC_UNITS, RuleSet, Trigger, rules_hash
from holdfast_schemas.watches import Watched

from . import rules_file
from .asking import asked
from .choices import Actor, Json, Reason, this_person, waiting
from .figures import ago, print_json
from .situation import newest_watched

RECENT = 20_000
"""Offsets of one partition of events in which the rules are looked for first: the relay repeats them hourly."""
File = Annotated[Path, typer.Argument(help="A rule set: JSON, or TOML in a file named *.toml.")]

app = typer.Typer(help="Check, apply or show the rules that migrations are judged by.", no_args_is_help=True)


@app.command()
def check(file: File, as_json: Json = False) -> None:
    """Check a rule set without applying it, and show it with every default written out."""
    rules = rules_file.read(file)
    if as_json:
        print_json({"rules": rules.model_dump(mode="json"), "rules_hash": rules_hash(rules_file.text(rules))})
        return
    _print_rules(rules)
    typer.echo(
        f"{file} is a rule set ({rules_hash(rules_file.text(rules))[:12]}); holdfast triggers apply puts it in force"
    )


@app.command()
def apply(
    file: File,
    reason: Reason,
    actor: Actor = None,
    wait: Annotated[float, waiting("30s")] = 30.0,
    as_json: Json = False,
) -> None:
    """Put a rule set in force, and wait until every partition is judged by it (exit 6 when one is not in time)."""
    text = rules_file.text(rules_file.read(file))
    kafka = Settings.load().kafka
    before = max((w.record.rules_version for w in newest_watched(kafka).values() if w is not None), default=0)
    request = PersonRequest(
        request_id=new_id(), kind="apply_triggers", actor=actor or this_person(), reason=reason, rules=text,
        occurred_at=now(),
    )  # fmt: skip
    with asked(kafka, request) as answers:
        pending: list[int] = []

        def in_force() -> bool:
            if answers.newest is None:
                return False
            pending[:] = without(newest_watched(kafka), rules_hash(text), before)
            return not pending

        try:
            answers.wait(in_force, wait)
        except RequestUnanswered:
            if answers.newest is None:
                raise
            raise RulesNotInForce(rules_hash(text), wait, pending) from None
    version = max(w.record.rules_version for w in newest_watched(kafka).values() if w is not None)
    if as_json:
        print_json({"rules_version": version, "rules_hash": rules_hash(text), "request_id": request.request_id})
    else:
        typer.echo(f"rules version {version} ({rules_hash(text)[:12]}) are in force in every partition")


@app.command()
def show(as_json: Json = False) -> None:
    """Show the rules in force, and the version by which each partition is judged."""
    kafka = Settings.load().kafka
    watched = newest_watched(kafka)
    applied = newest_applied(kafka)
    text = applied.rules if applied is not None else DEFAULT_RULES_TEXT
    rules = RuleSet.model_validate_json(text)
    version = applied.version if applied is not None else 0
    if as_json:
        print_json(
            {
                "rules_version": version,
                "rules_hash": applied.rules_hash if applied is not None else DEFAULT_RULES_HASH,
                "rules": rules.model_dump(mode="json"),
                "partitions": [
                    {"partition": p, "watched": None if w is None else w.record} for p, w in sorted(watched.items())
                ],
            }
        )
        return
    named = "the defaults: none were applied yet" if applied is None else f"applied {ago(applied.occurred_at)}"
    typer.echo(f"rules version {version} ({rules_hash(text)[:12]}), {named}")
    _print_rules(rules)
    for line in agreement(watched):
        typer.echo(line)


def without(watched: Mapping[int, Received[Watched] | None], wanted_hash: str, above_version: int) -> list[int]:
    """The partitions whose newest Watched does not name these rules under a version above ``above_version``."""
    return sorted(
        p
        for p, w in watched.items()
        if w is None or w.record.rules_hash != wanted_hash or w.record.rules_version <= above_version
    )


def agreement(watched: Mapping[int, Received[Watched] | None]) -> list[str]:
    """One line where all partitions agree, else a line for each version, and one for partitions that nobody watches."""
    groups: dict[tuple[int, str] | None, list[int]] = {}
    for partition, w in sorted(watched.items()):
        groups.setdefault(None if w is None else (w.record.rules_version, w.record.rules_hash), []).append(partition)
    lines = []
    for named, partitions in groups.items():
        which = ", ".join(map(str, partitions)) if len(groups) > 1 else f"all {len(partitions)}"
        if named is None:
            lines.append(f"partitions {which}: no Watched: is holdfast processor running?")
        else:
            newest = max(w.timestamp_ms for p, w in watched.items() if p in partitions and w is not None)
            when = ago(from_milliseconds(newest))
            lines.append(f"partitions {which}: judged by version {named[0]} ({named[1][:12]}), last {when}")
    return lines


def newest_applied(kafka: KafkaSettings) -> TriggersApplied | None:
    """The newest TriggersApplied of partition 0 (each partition holds it); None while the defaults stand."""
    for last in (RECENT, None):
        found: TriggersApplied | None = None
        for message in messages_to_end(kafka, topics.events.full_name(kafka.topic_prefix), [0], last):
            if message.key() != b"~rules" or (received := received_from(topics.events, message)) is None:
                continue
            if isinstance(received.record, TriggersApplied) and (
                found is None or received.record.version >= found.version
            ):
                found = received.record
        if found is not None:
            return found
    return None


def sentence(trigger: Trigger) -> str:
    """``error-rate-pause: pause when error_rate > 0.05 over 60 s (from 100 rows; missing: warn)``."""
    lasting = f" for {trigger.for_seconds:g} s" if trigger.for_seconds else ""
    notes = [f"from {trigger.min_attempted_rows} rows", f"missing: {trigger.on_missing}"]
    notes += ["required"] if trigger.required else []
    notes += ["shadow: recorded, not acted on"] if trigger.mode == "shadow" else []
    threshold = f"{trigger.threshold:g} {METRIC_UNITS[trigger.metric]}".rstrip()
    return (
        f"{trigger.id}: {trigger.action} when {trigger.metric} {trigger.op} {threshold} over "
        f"{trigger.window_seconds:g} s{lasting} ({'; '.join(notes)})"
    )


def _print_rules(rules: RuleSet) -> None:
    for trigger in rules.triggers:
        typer.echo(f"  {sentence(trigger)}")
    typer.echo("  " + ", ".join(f"{name} {value:g}" for name, value in rules.judgement.model_dump().items()))
