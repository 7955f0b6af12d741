"""What decides how a target's point-in-time recovery can be prepared: read once, judged by a pure function."""

from dataclasses import dataclass
from pathlib import Path

from psycopg.rows import class_row

from holdfast_schemas.settings import BackupSettings

from ..connecting import Connection
from .base_backups import BaseBackup, found_in
from .disk import data_folder
from .programs import find_program

SERVER = """
    SELECT current_setting('server_version_num')::int / 10000 AS version,
        (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
        current_setting('archive_mode') AS archive_mode,
        (SELECT sum(pg_database_size(oid))::bigint FROM pg_database) AS bytes,
        current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication) AS senders_free,
        (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_replicate,
        (SELECT count(*)::int FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces,
        (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data_directory,
        has_function_privilege(CASE WHEN current_setting('server_version_num')::int >= 150000 THEN
            'pg_backup_start(text, boolean)' ELSE 'pg_start_backup(text, boolean, boolean)' END, 'EXECUTE') AS may_start_backup
"""
"""``data_directory`` is NULL for a role that may not read all settings."""
SENDERS_OF_PG_BASEBACKUP = 2


@dataclass(frozen=True, slots=True)
class Server:
    """As the server says it; ``version`` is the major one."""

    version: int
    system_identifier: int
    archive_mode: str
    bytes: int
    senders_free: int
    may_replicate: bool
    tablespaces: int
    data_directory: str | None
    may_start_backup: bool


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """``existing``: this server's base backups in the folder, newest first. ``data_is_here``: we can read its files."""

    server: Server
    existing: tuple[BaseBackup, ...]
    pg_basebackup: Path | None
    pgbackrest: Path | None
    data_is_here: bool


def read_backup_facts(db: Connection, settings: BackupSettings) -> BackupFacts:
    """Of the server, of the folder of base backups, of this machine."""
    with db.cursor(row_factory=class_row(Server)) as cursor:
        server = cursor.execute(SERVER).fetchone()
    assert server is not None
    folder = settings.folder
    return BackupFacts(
        server,
        tuple(found_in(folder, server.system_identifier)) if folder is not None and folder.is_dir() else (),
        find_program("pg_basebackup", server.version, settings.bindir),
        find_program("pgbackrest", server.version, None),
        data_folder(server.data_directory, server.system_identifier) is not None,
    )
