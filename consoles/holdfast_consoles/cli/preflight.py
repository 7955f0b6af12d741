"""`holdfast preflight ID`: what could be taken back, table by table and statement by statement, and what to change."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast_schemas.errors import FileUnreadable

from .choices import Json
from .figures import print_json
from .recovery import Which, configured, connected

if TYPE_CHECKING:
    from holdfast_actuators.postgres.preflight.findings import Finding
    from holdfast_actuators.postgres.preflight.report import Preflight

REFUSED = 3
MARKS = {"block": "BLOCK", "warn": "warn ", "note": "note "}


def preflight(
    which: Which,
    plan: Annotated[
        Path | None, typer.Option(help="A file with the migration's SQL; else the one of the settings.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what of a migration could be taken back.

    Table by table and statement by statement, what could not, and what to change. Reads only.

    Exit 3 when something blocks.
    """
    from holdfast_actuators.postgres.point_in_time import PointInTime
    from holdfast_actuators.postgres.preflight.report import preflight as ask

    settings, migration = configured(which)
    text = None if (file := plan or migration.plan) is None else _read(file)
    with connected(settings, migration) as (db, _):
        found = ask(db, which, migration, text, PointInTime.of(settings, migration.target, makes_backups=True))
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            typer.echo(line)
    if found.blocks:
        raise typer.Exit(REFUSED)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(file, str(error)) from None


def _lines(found: "Preflight") -> list[str]:
    lines = [line for finding in found.findings for line in _finding(finding)]
    for table in found.tables:
        lines.append(f"{table.tier:9} {table.table}")
        lines += [f"  {line}" for finding in table.findings for line in _finding(finding)]
    lines += [f"{one.verdict:17} line {one.line}: {one.text[:70]}\n    {one.why}" for one in found.statements]
    lines.append(_protection(found))
    blocks = len(found.blocks)
    state = f" (now {found.state})" if found.state else ""
    if blocks:
        return [*lines, f"{found.migration_id}{state}: {blocks} to cure before it can be armed and undone"]
    return [
        *lines,
        f"{found.migration_id}{state}: its rows could be taken back from the log; next: holdfast arm {found.migration_id}",
    ]


def _protection(found: "Preflight") -> str:
    """What the start gate will do: triggers are in the log, which a preflight does not read."""
    from holdfast_actuators.protection import judge_protection

    protection = judge_protection(found.protect, (), found.major)
    if protection.armed:
        return f"an actuator arms it before its first row: {protection.why}"
    if found.protect == "never":
        return "no actuator arms it: protect = never"
    return f"an actuator arms it before its first row only where a trigger in force may roll it back: {found.major.why}"


def _finding(finding: "Finding") -> list[str]:
    lines = [f"{MARKS[finding.level]} {finding.message}"]
    return lines + ([f"      {finding.cure}"] if finding.cure else [])
