"""Take a base backup: by the server's own tool, or by its low-level functions in one held session."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_schemas.settings import BackupSettings

from ..connecting import Connection
from .base_backups import NOTE_SUFFIX, OURS, BaseBackup, verify, write_note
from .disk import PARTIAL_SUFFIX
from .facts import BackupFacts
from .programs import program, run

START_BY_NAME_FROM = 15
NOT_COPIED = (
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
)
"""Folders whose content belongs to a running server (PostgreSQL's manual, "Backing Up the Data Directory")."""
NOT_A_COPYS = (
    "postmaster.pid",
    "postmaster.opts",
    "backup_label",
    "tablespace_map",
    "recovery.signal",
    "standby.signal",
)


def new_name() -> str:
    """Of a base backup made now."""
    return f"holdfast-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def basebackup_command(settings: BackupSettings, facts: BackupFacts, dsn: str, to: Path, label: str) -> list[str]:
    """What is run; the password, if any, goes by the environment."""
    parts = {name: value for name, value in conninfo_to_dict(dsn).items() if name != "password"}
    tool = program("pg_basebackup", facts.server.version, settings.bindir)
    checkpoint = ["-c", settings.checkpoint]
    return [str(tool), "-D", str(to), *checkpoint, "-X", "stream", "-l", label, "-d", make_conninfo(**parts)]  # type: ignore[arg-type]


def take_with_pg_basebackup(settings: BackupSettings, facts: BackupFacts, dsn: str, to: Path) -> BaseBackup:
    """Complete and verified by its manifest, or not there. Raises ProgramMissing, ProgramFailed, BackupUnusable."""
    partial = _partial(to)
    password = conninfo_to_dict(dsn).get("password")
    command = basebackup_command(settings, facts, dsn, partial, to.name)
    run(command, environment={"PGPASSWORD": str(password)} if password else None)
    return _whole(verify(_made(facts, partial), settings.bindir), to)


def low_level_statements(version: int, label: str, checkpoint: str) -> tuple[str, str]:
    """The SQL before and after the copy: both in one session, which the server holds responsible for the backup."""
    fast = str(checkpoint == "fast").lower()
    if version < START_BY_NAME_FROM:
        return f"SELECT pg_start_backup('{label}', {fast}, false)", "SELECT * FROM pg_stop_backup(false, true)"
    return f"SELECT pg_backup_start('{label}', {fast})", "SELECT * FROM pg_backup_stop(true)"


def take_low_level(db: Connection, settings: BackupSettings, facts: BackupFacts, to: Path) -> BaseBackup:
    """Copied while the server runs; whole only with the WAL that the archive has by the time that this returns.

    It has no manifest: that it is whole shows when a clone of it starts.
    """
    assert facts.server.data_directory is not None
    partial = _partial(to)
    start, stop = low_level_statements(facts.server.version, to.name, settings.checkpoint)
    db.execute(start)
    try:
        _copy(Path(facts.server.data_directory), partial)
    finally:  # a session that ends without it leaves no trace either, but ours goes on
        row = db.execute(stop).fetchone()
    assert row is not None
    _, label, tablespace_map = row
    (partial / "backup_label").write_text(label)
    if tablespace_map:
        (partial / "tablespace_map").write_text(tablespace_map)
    return _whole(write_note(_made(facts, partial), "copied between pg_backup_start and pg_backup_stop"), to)


def _copy(data: Path, to: Path) -> None:
    def left_out(folder: str, names: Sequence[str]) -> set[str]:
        temporary = {name for name in names if name.startswith("pgsql_tmp") or name == "pg_internal.init"}
        if Path(folder) == data:
            return temporary | set(NOT_A_COPYS)
        return set(names) if Path(folder).parent == data and Path(folder).name in NOT_COPIED else temporary

    shutil.copytree(data, to, symlinks=True, ignore=left_out, copy_function=_copy_if_there)
    to.chmod(0o700)


def _copy_if_there(source: str, to: str) -> None:
    """A file that went meanwhile is normal: the WAL of the backup says what became of it."""
    try:
        shutil.copy2(source, to, follow_symlinks=False)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise


def _partial(to: Path) -> Path:
    """Made beside its place, verified there, and renamed: what has its name is whole."""
    return to.with_name(to.name + PARTIAL_SUFFIX)


def _whole(backup: BaseBackup, to: Path) -> BaseBackup:
    backup.note_path.rename(to.with_name(to.name + NOTE_SUFFIX))
    return replace(backup, path=backup.path.rename(to))


def _made(facts: BackupFacts, to: Path) -> BaseBackup:
    return BaseBackup(to, facts.server.system_identifier, facts.server.version, datetime.now(UTC), OURS, "")
