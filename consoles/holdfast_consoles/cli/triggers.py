"""`holdfast triggers check | apply | show`: the rules that the log is judged by."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast_schemas.errors import RequestUnanswered, RulesNotInForce
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.settings import Settings
from holdfast_schemas.triggers import DEFAULT_RULES_HASH, DEFAULT_RULES_TEXT, RuleSet, Trigger, rules_hash

from . import rules_file
from .asking import asked
from .choices import Actor, Json, Reason, this_person, waiting
from .figures import ago, print_json
from .guard import newest_watched
from .rules_in_force import agreement, newest_applied, without

File = Annotated[Path, typer.Argument(help="A rule set: JSON, or TOML in a file named *.toml.")]

app = typer.Typer(help="Check, apply or show the rules that all are judged by.", no_args_is_help=True)


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


RATES = ("error_rate", "average_processing_time")


def sentence(trigger: Trigger) -> str:
    """``error-rate-pause: pause when error_rate > 0.05 over 60 s (from 100 rows; missing: warn)``."""
    lasting = f" for {trigger.for_seconds:g} s" if trigger.for_seconds else ""
    notes = [f"from {trigger.min_attempted_rows} rows"] if trigger.metric in RATES else []
    notes += [trigger.aggregate] if "." in trigger.metric else []
    notes += [f"missing: {trigger.on_missing}"]
    for name in ("phases", "targets", "migrations"):
        notes += [f"{name}: {', '.join(getattr(trigger, name))}"] if getattr(trigger, name) else []
    notes += [f"between {trigger.between} {trigger.time_zone}"] if trigger.between else []
    notes += [f"not between {trigger.not_between} {trigger.time_zone}"] if trigger.not_between else []
    notes += ["required"] if trigger.required else []
    notes += ["shadow: recorded, not acted on"] if trigger.mode == "shadow" else []
    if trigger.metric == "estimated_completion":
        of_day = (
            isinstance(trigger.threshold, str)
            and len(trigger.threshold) <= len("06:00:00")
            and ":" in trigger.threshold
        )
        threshold = f"{trigger.threshold} {trigger.time_zone}" if of_day else f"{trigger.threshold}"
        threshold += " s after the start" if isinstance(trigger.threshold, float) else ""
    else:
        threshold = f"{trigger.limit:g} {trigger.unit}".rstrip()
    return (
        f"{trigger.id}: {trigger.action} when {trigger.metric} {trigger.op} {threshold} over "
        f"{trigger.window_seconds:g} s{lasting} ({'; '.join(notes)})"
    )


def _print_rules(rules: RuleSet) -> None:
    for trigger in rules.triggers:
        typer.echo(f"  {sentence(trigger)}")
    typer.echo("  " + ", ".join(f"{name} {value:g}" for name, value in rules.judgement.model_dump().items()))
