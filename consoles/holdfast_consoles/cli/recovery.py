"""`holdfast arm | disarm`, and the dry run of a rollback from the log: commands that speak to the target itself."""

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
    from holdfast_actuators.postgres.undo.preview import Preview

Which = Annotated[str, typer.Argument(metavar="ID", help="The migration.", autocompletion=migration_ids)]
OPERATIONS = {"I": "inserted", "U": "updated", "D": "deleted"}


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


def show_dry_run(which: str, as_json: bool) -> None:
    """What a rollback from the log would take back now."""
    from holdfast_actuators.postgres.undo.preview import preview

    settings, migration = configured(which)
    with connected(settings, migration) as (db, dsn):
        found = preview(db, migration.target, dsn, which)
    if as_json:
        print_json(found)
        return
    for line in _lines(which, found):
        typer.echo(line)


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


def _lines(which: str, found: "Preview") -> list[str]:
    total = sum(count for by_operation in found.rows.values() for count in by_operation.values())
    lines = [f"{which} is {found.state}; from the log {total:,} rows would be taken back, in {found.chunks:,} steps:"]
    for table, by_operation in sorted(found.rows.items()):
        counts = ", ".join(f"{count:,} {OPERATIONS[op]}" for op, count in sorted(by_operation.items()))
        lines.append(f"  {table}: {counts}")
    lines += [
        f"  in the way: {hazard.kind} {hazard.table}: {hazard.detail} (transaction {hazard.xid})"
        for hazard in found.hazards
    ]
    if found.hazards:
        lines.append("  so it would be refused, before anything is touched")
    lines.append(f"others wrote {found.foreign_rows:,} rows of these tables meanwhile: they stay")
    if found.sessions_elsewhere:
        lines.append(
            f"{found.sessions_elsewhere} sessions of role {found.role_name} in other databases could not come back"
            " while it is fenced"
        )
    if found.slot is not None:
        limit = (
            "no limit"
            if found.slot.safe_wal_bytes is None
            else f"{found.slot.safe_wal_bytes:,} bytes more until it is lost"
        )
        lines.append(
            f"its slot is {found.slot.wal_status} and keeps {found.slot.retained_bytes:,} bytes of WAL ({limit})"
        )
    lines.append(
        f"reading it took {found.seconds_read:.1f} s; a rollback fences {found.role_name} first, reads it again, and then writes"
    )
    return lines
