"""`holdfast rollback ID --dry-run`: what would be taken back from the log now, at what cost, with what in the way."""

import time
from typing import TYPE_CHECKING

import typer

from .figures import age, print_json
from .recovery import configured, connected

if TYPE_CHECKING:
    from holdfast_actuators.postgres.pausing import Slot
    from holdfast_actuators.postgres.undo.preview import Preview

OPERATIONS = {"I": "inserted", "U": "updated", "D": "deleted"}
EVERY_SECONDS = 5.0


def show_dry_run(which: str, as_json: bool, watch: bool) -> None:
    """Once, or with ``watch`` again and again until Ctrl-C. Changes nothing."""
    from holdfast_actuators.postgres.undo.preview import preview

    settings, migration = configured(which)
    with connected(settings, migration) as (db, dsn):
        while True:
            found = preview(db, migration.target, dsn, which)
            if as_json:
                print_json(found)
            else:
                for line in lines(which, found):
                    typer.echo(line)
            if not watch:
                return
            time.sleep(EVERY_SECONDS)
            typer.echo("")


def lines(which: str, found: "Preview") -> list[str]:
    """For a person."""
    total = sum(count for by_operation in found.rows.values() for count in by_operation.values())
    said = [f"{which} is {found.state}; from the log {total:,} rows would be taken back, in {found.chunks:,} steps:"]
    for table, by_operation in sorted(found.rows.items()):
        counts = ", ".join(f"{count:,} {OPERATIONS[op]}" for op, count in sorted(by_operation.items()))
        said.append(f"  {table}: {counts}")
    said += [
        f"  in the way: {hazard.kind} {hazard.table}: {hazard.detail} (transaction {hazard.xid})"
        for hazard in found.hazards
    ]
    said += [f"  in the way: {refusal}" for refusal in found.refusals]
    if found.hazards or found.refusals:
        said.append("  so it would be refused, before anything is touched")
    said += [_seconds(found), _writes(found)]
    if found.sessions_elsewhere:
        said.append(
            f"{found.sessions_elsewhere} sessions of role {found.role_name} in other databases could not come back"
            " while it is fenced"
        )
    said += [_pause(found.slot)] if found.slot is not None else []
    said += [_methods(which, found)]
    return said


def _seconds(found: "Preview") -> str:
    if found.seconds is None:
        return f"how long is not known: nothing of it could be tried; reading the log took {found.seconds_read:.1f} s"
    took = found.seconds
    return (
        f"about {took.total:.1f} s ({took.fence:.1f} s fence and small steps, {took.capture:.1f} s capture,"
        f" {took.undo:.1f} s undo), while the application goes on"
    )


def _writes(found: "Preview") -> str:
    said = f"others wrote {found.foreign_rows:,} rows of these tables meanwhile: they stay"
    if found.conflicts is None:
        return f"{said}; conflicts are not known beforehand"
    share = "" if found.one_in == 1 else f" (from one row in {found.one_in})"
    return (
        f"{said}; {found.conflicts:,} conflicts expected{share}: values written since, which stay, and which"
        " --on-conflict force and cascade overwrite"
    )


def _pause(slot: "Slot") -> str:
    limits = []
    if slot.safe_wal_bytes is not None:
        limits.append(f"{slot.safe_wal_bytes:,} bytes more until it is lost")
    if slot.free_disk_bytes is not None:
        limits.append(f"{slot.free_disk_bytes:,} bytes free on its disk")
    said = (
        f"its slot is {slot.wal_status} and keeps {slot.retained_bytes:,} bytes of WAL"
        f" ({', '.join(limits) or 'no limit is known'}); the server writes {slot.wal_bytes_per_second:,.0f} bytes/s"
    )
    return said if slot.seconds_left is None else f"{said}: it can stay paused for {age(slot.seconds_left)}"


def _methods(which: str, found: "Preview") -> str:
    log = "log: not as it is" if found.hazards or found.refusals else "log: possible"
    clone = (
        f"clone: restore point {found.restore_point} (holdfast clone {which} --to DIR)"
        if found.restore_point
        else "clone: no restore point was made"
    )
    return f"methods: runner: where a worker of it lives (holdfast status {which}); {log}; {clone}"
