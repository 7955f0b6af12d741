"""`holdfast pause | resume | rollback | override`: what a person asks of one migration, or of all (`--all`)."""

import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from holdfast_schemas.errors import ReferenceInvalid, UnknownMigration
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import NEEDS_EPOCH, OnConflict, PersonRequest, RequestKind, RollbackMethod
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport.security import KafkaSettings

from .asking import answered, told
from .choices import Actor, Json, Reason, Wait, WaitForNews, duration, this_person
from .completing import migration_ids
from .dry_run import show_dry_run
from .figures import print_json
from .migration_reference import Reference, parse
from .situation import situation
from .status import print_situation

Which = Annotated[
    str,
    typer.Argument(
        metavar="ID#EPOCH", help="The migration, and the epoch at which you saw it.", autocompletion=migration_ids
    ),
]
Maybe = Annotated[
    str | None, typer.Argument(metavar="ID", help="The migration; none with --all.", autocompletion=migration_ids)
]
All = Annotated[bool, typer.Option("--all", help="Every migration, now and to come, until it is taken back.")]
Until = Annotated[
    float | None,
    typer.Option("--for", parser=duration, metavar="DURATION", help="Ends by itself after this long, such as 30m."),
]

OVERRIDE_SECONDS = 1_800.0
OverrideFor = Annotated[
    float,
    typer.Option(
        "--for", parser=duration, metavar="DURATION", help="Ends after this long, at most 24h.", show_default="30m"
    ),
]


def pause(
    reason: Reason, which: Maybe = None, everything: All = False, actor: Actor = None, until: Until = None,
    wait: Wait = 10.0, as_json: Json = False,
) -> None:  # fmt: skip
    """Pause a migration at its next checkpoint. Needs no epoch: a pause is right whatever happened meanwhile."""
    _ask("freeze" if everything else "pause", which, everything, reason, actor, until, wait, as_json)


def resume(
    reason: Reason, which: Maybe = None, everything: All = False, actor: Actor = None,
    wait: Wait = 10.0, as_json: Json = False,
) -> None:  # fmt: skip
    """Let a paused migration go on. From the state that you saw: ID#EPOCH."""
    _ask("unfreeze" if everything else "resume", which, everything, reason, actor, None, wait, as_json)


def rollback(
    which: Which,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the audit trail.")] = None,
    method: Annotated[
        RollbackMethod, typer.Option(help="runner: a worker that can; log: from PostgreSQL's log; auto: the first possible.")
    ] = "auto",
    on_conflict: Annotated[
        OnConflict,
        typer.Option(
            help="From the log, where somebody else wrote since: keep their values, force the old ones of what the migration"
            " wrote, or cascade: the whole row as it was."
        ),
    ] = "keep",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be taken back from the log; changes nothing.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="With --dry-run: again every 5 s, until Ctrl-C.")] = False,
    actor: Actor = None, wait: WaitForNews = 30.0, as_json: Json = False,
) -> None:  # fmt: skip
    """Stop a migration and take the whole run back. From the state that you saw: ID#EPOCH."""
    if dry_run:
        show_dry_run(parse(which).migration_id, as_json, watch)
        return
    if reason is None:
        raise typer.BadParameter("say why; it is kept in the audit trail", param_hint="--reason")
    _ask("rollback", which, False, reason, actor, None, wait, as_json, method=method, on_conflict=on_conflict)


def override(
    which: Which, reason: Reason, until: OverrideFor = OVERRIDE_SECONDS, actor: Actor = None, wait: Wait = 10.0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Let a migration go on for a time in spite of its triggers.

    From the state that you saw: ID#EPOCH.

    Until then what triggers decide is refused (warnings are noted). A pause or a rollback by a person ends it.
    """
    _ask("override", which, False, reason, actor, until, wait, as_json)


def _ask(
    kind: RequestKind, which: str | None, everything: bool, reason: str, actor: str | None, until: float | None,
    wait: float, as_json: bool, **also: Any,
) -> None:  # fmt: skip
    if everything == (which is not None):
        raise typer.BadParameter("name one migration, or say --all", param_hint="ID")
    kafka = Settings.load().kafka
    reference = None if which is None else _seen(kafka, parse(which), kind)
    asked_at = now()
    request = PersonRequest(
        request_id=new_id(),
        kind=kind,
        migration_id=None if reference is None else reference.migration_id,
        expected_epoch=None if reference is None else reference.epoch,
        actor=actor or this_person(),
        reason=reason,
        until=None if until is None else asked_at + timedelta(seconds=until),
        occurred_at=asked_at,
        **also,
    )
    answer = answered(kafka, request, wait)
    if as_json:
        print_json(answer)
    else:
        typer.echo(told(answer))


def _seen(kafka: KafkaSettings, reference: Reference, kind: RequestKind) -> Reference:
    """The reference with the epoch that the person saw. Raises UnknownMigration, ReferenceInvalid (no epoch, no terminal)."""
    found = situation(kafka, reference.migration_id)
    if found is None:
        raise UnknownMigration(reference.migration_id)
    if kind not in NEEDS_EPOCH or reference.epoch is not None:
        return reference
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ReferenceInvalid(str(reference), f"{kind} needs the epoch that you saw: {reference}#EPOCH")
    print_situation(found)
    typer.confirm(f"{kind} {found.name}?", abort=True)
    return Reference(reference.migration_id, found.epoch)
