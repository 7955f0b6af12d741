"""`holdfast clone`: a server at a migration's restore point, beside the live one."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .choices import Json
from .figures import print_json
from .recovery import Which, configured

if TYPE_CHECKING:
    from holdfast_actuators.postgres.clone.making import Clone
    from holdfast_actuators.postgres.clone.request import CloneRequest


def clone(
    which: Which,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The clone's data folder: new, or empty.")],
    at: Annotated[str | None, typer.Option(metavar="NAME", help="The restore point; else the newest.")] = None,
    backup: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The base backup; else the point's own. With --at the live server need not be up."
        ),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose it shall be, where root asks.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A setting of the clone; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and say what would run; changes nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make a server at a migration's restore point.

    Beside the live one, in a folder of its own, which nobody else may enter. The live server and its archive are only read.
    """
    from holdfast_actuators.postgres.backup.programs import OsUser
    from holdfast_actuators.postgres.clone.making import make
    from holdfast_actuators.postgres.clone.planning import request_for

    more = dict(_named(text) for text in setting or [])
    settings, migration = configured(which)
    target = settings.targets[migration.target]
    owner = None if user is None else OsUser.named(user)
    request = request_for(
        migration.target,
        target,
        which,
        to.absolute(),
        at=at,
        backup=backup and backup.absolute(),
        user=owner,
        more=more,
    )
    if dry_run:
        _print_plan(request, as_json)
        return
    told: list[str] = []
    found = make(request, target.dsn.get_secret_value(), migration.tables, told.append if as_json else typer.echo)
    if as_json:
        print_json(found)
    else:
        for line in _lines(found, user):
            typer.echo(line)


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--setting")
    return name.strip(), value.strip()


def _print_plan(request: "CloneRequest", as_json: bool) -> None:
    from holdfast_actuators.postgres.clone.configuring import as_text, settings

    postgres = request.check()
    how = f"copy {request.backup} to {request.folder}" if request.backup is not None else shlex.join(request.restore)
    written = as_text(settings(request.point, request.folder, request.restore_command, request.more))
    if as_json:
        print_json({"fill": how, "postgresql.conf": written, "start": f"{postgres} -D {request.folder}"})
        return
    typer.echo(f"{how}\n\n{request.folder}/postgresql.conf:\n{written}\n{postgres} -D {request.folder}")


def _lines(found: "Clone", user: str | None) -> list[str]:
    sudo = "" if user is None else f"sudo -u {user} "
    first = found.tables[0].table
    return [
        f"the clone answers, {found.seconds:.1f} s later: restore point {found.restore_point} at {found.lsn},"
        f" timeline {found.timeline}, pid {found.pid}",
        *(f"  {table.table}: {table.rows:,} rows, checksum {table.checksum}" for table in found.tables),
        f"connect      {sudo}psql '{found.dsn}'",
        f"repair from  {sudo}pg_dump -d '{found.dsn}' --data-only -t '{first}', or COPY of the rows that are wanted",
        f"stop         {sudo}{found.bindir}/pg_ctl -D {found.folder} stop -m fast",
        "cut over     is yours to do: what was committed after the restore point is not in it (docs/clone.md)",
    ]
