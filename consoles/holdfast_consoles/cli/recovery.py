"""`holdfast arm | disarm`: commands that speak to the target itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast_schemas.errors import GrantsMissing, MigrationNotConfigured, TargetUnknown
from holdfast_schemas.settings import MigrationSettings, Settings

from .choices import Json
from .completing import migration_ids
from .figures import print_json

if TYPE_CHECKING:
    from holdfast_actuators.postgres.connecting import Connection

Which = Annotated[str, typer.Argument(metavar="ID", help="The migration.", autocompletion=migration_ids)]


def arm(
    which: Which,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL that would run now; changes nothing.")
    ] = False,
    print_grants: Annotated[
        bool,
        typer.Option(
            "--print-grants", help="Print the SQL that an administrator runs once, and what is there already."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Keep what takes a migration's rows back.

    Before its first row; all of it, or nothing.
    """
    from holdfast_actuators.postgres.arming import Arming
    from holdfast_actuators.postgres.point_in_time import PointInTime
    from holdfast_actuators.postgres.preflight.report import refuse_what_blocks

    settings, migration = configured(which)
    point_in_time = PointInTime.of(settings, migration.target, makes_backups=True)
    arming = Arming.of(settings.environment, which, migration, point_in_time)
    with connected(settings, migration) as (db, _):
        if print_grants:
            _print_grants(db, migration, point_in_time is not None, as_json)
            return
        if dry_run:
            steps = arming.dry_run(db)
            if as_json:
                print_json([{"says": says, "sql": sql} for says, sql in steps])
                return
            for says, sql in steps:
                typer.echo(f"-- {says}\n{sql}")
            typer.echo(f"-- {len(steps)} steps" if steps else f"-- {which} is armed already")
            return
        refuse_what_blocks(db, which, migration, point_in_time)
        told: list[str] = []
        found = arming.arm(db, told.append if as_json else typer.echo)
    if as_json:
        print_json(
            {
                "migration_id": which,
                "state": found.state,
                "slot": found.slot,
                "armed_lsn": found.armed_lsn,
                "restore_point": found.restore_point,
                "did": told,
            }
        )
        return
    typer.echo(
        f"{which} is {found.state} since {found.armed_lsn}: its sessions begin with SELECT holdfast.join('{which}')"
    )


def _print_grants(db: "Connection", migration: MigrationSettings, point_in_time: bool, as_json: bool) -> None:
    from holdfast_actuators.postgres.grants import grants

    found = [(grant, grant.held(db)) for grant in grants(db, db.info.user, migration, point_in_time=point_in_time)]
    if as_json:
        print_json([{"why": grant.why, "sql": grant.run.as_string(db), "held": held} for grant, held in found])
        return
    for grant, held in found:
        typer.echo(f"-- {grant.why}{' (there already)' if held else ''}\n{grant.run.as_string(db)};")


def disarm(
    which: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The migration; none with --orphans.", autocompletion=migration_ids),
    ] = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Drop what bears our names on any target and belongs to no recovery.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --orphans: only say what there is.")] = False,
    as_json: Json = False,
) -> None:
    """Take back what arm did to the server.

    Slot, publication, origins, triggers, replica identity. Repeatable.
    """
    if orphans == (which is not None):
        raise typer.BadParameter("name one migration, or say --orphans", param_hint="ID")
    if which is None:
        _orphans(dry_run, as_json)
        return
    from holdfast_actuators.postgres.disarming import disarm as take_back

    settings, migration = configured(which)
    told: list[str] = []
    with connected(settings, migration) as (db, _):
        was_armed = take_back(db, which, told.append if as_json else typer.echo)
    if as_json:
        print_json({"migration_id": which, "was_armed": was_armed, "did": told})
    else:
        typer.echo(
            f"{which} is disarmed: nothing of it is left on the server" if was_armed else f"{which} is not armed"
        )


def _orphans(dry_run: bool, as_json: bool) -> None:
    from holdfast_actuators.postgres.connecting import connect
    from holdfast_actuators.postgres.orphans import drop, find_orphans

    found: list[dict[str, object]] = []
    for name, target in Settings.load().targets.items():
        with connect(name, target.dsn.get_secret_value()) as db:
            for orphan in find_orphans(db):
                if not dry_run:
                    drop(db, orphan)
                found.append({"target": name, "kind": orphan.kind, "name": orphan.name, "dropped": not dry_run})
                if not as_json:
                    typer.echo(f"{name}: {orphan.kind} {orphan.name}{'' if dry_run else ': dropped'}")
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("no orphans")


def configured(which: str) -> tuple[Settings, MigrationSettings]:
    """The settings, and the migration's own. Raises MigrationNotConfigured, TargetUnknown."""
    settings = Settings.load()
    migration = settings.migrations.get(which)
    if migration is None:
        raise MigrationNotConfigured(which)
    if migration.target not in settings.targets:
        raise TargetUnknown(migration.target)
    return settings, migration


@contextmanager
def connected(settings: Settings, migration: MigrationSettings) -> "Iterator[tuple[Connection, str]]":
    """A session on the migration's target, and the DSN. Raises TargetUnreachable, GrantsMissing."""
    from psycopg.errors import InsufficientPrivilege

    from holdfast_actuators.postgres.connecting import connect

    dsn = settings.targets[migration.target].dsn.get_secret_value()
    with connect(migration.target, dsn) as db:
        try:
            yield db, dsn
        except InsufficientPrivilege as error:
            raise GrantsMissing(migration.target, " ".join(str(error).split())) from None
