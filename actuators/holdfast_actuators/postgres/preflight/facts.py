"""What preflight knows of a server and of the migration's tables: read once, judged by pure checks."""

from dataclasses import dataclass, replace

from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.settings import MigrationSettings

from ..connecting import Connection
from ..keys import key_columns
from ..tables import read_tables

NO_KEY_ROWS_MAX = 10_000
"""Rows of a table without a key are found by all their values, one by one: quadratic (3,000 rows took 6.6 s)."""
ROWS_AT_MOST = "SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS found"
MAY_READ = "SELECT has_table_privilege(%s::oid, 'SELECT')"
SERVER = """
    SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS in_recovery,
        current_setting('wal_level') AS wal_level,
        current_setting('max_replication_slots')::int AS slots_max, (SELECT count(*)::int FROM pg_replication_slots) AS slots,
        current_setting('max_wal_senders')::int AS senders_max, (SELECT count(*)::int FROM pg_stat_replication) AS senders,
        coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int
            AS origins_max,
        (SELECT count(*)::int FROM pg_replication_origin) AS origins,
        current_setting('archive_mode') <> 'off' AS archives,
        (SELECT failed_count > 0 AND last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver)
            AS archive_fails,
        (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS slot_keep_megabytes,
        coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), 0)
            AS slot_idle_seconds,
        (SELECT string_agg(quote_literal(gid), ', ') FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
        (SELECT string_agg(format('pid %%s (%%s)', pid, usename), ', ') FROM pg_stat_activity
         WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() AND now() - xact_start > interval '5 s') AS open_writers,
        (SELECT rolsuper FROM pg_roles WHERE rolname = %(role)s) AS role_is_superuser,
        (SELECT rolbypassrls FROM pg_roles WHERE rolname = %(role)s) IS NOT NULL AS role_is_there,
        (SELECT count(*)::int FROM pg_stat_activity WHERE usename = %(role)s AND datname <> current_database())
            AS role_sessions_elsewhere,
        pg_backend_pid() <> %(pid)s AS behind_pooler
"""
TABLES = """
    SELECT c.oid::bigint AS table_oid, format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
        c.relpersistence::text AS persistence, greatest(c.reltuples, 0)::bigint AS rows,
        pg_total_relation_size(c.oid) AS bytes, row_security_active(c.oid) AS row_security_applies,
        (SELECT coalesce(array_agg(attname::text ORDER BY attnum), '{}') FROM pg_attribute
         WHERE attrelid = c.oid AND attgenerated = 'v' AND NOT attisdropped) AS virtual_columns,
        (SELECT coalesce(array_agg(tgname::text ORDER BY tgname), '{}') FROM pg_trigger
         WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled IN ('A', 'R') AND tgname <> 'holdfast_recovery')
            AS always_triggers,
        EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = c.oid) AS subscribed,
        pg_get_userbyid(c.relowner)::text AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(%(oids)s::oid[]) ORDER BY 2
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Limits and how many of each are in use; ``slot_keep_megabytes`` is -1 where there is no limit.

    ``origins`` are all that exist: each of another armed migration's may be in use when ours are. Which are now, only a
    superuser sees.
    """

    version: int
    in_recovery: bool
    wal_level: str
    slots_max: int
    slots: int
    senders_max: int
    senders: int
    origins_max: int
    origins: int
    archives: bool
    archive_fails: bool
    slot_keep_megabytes: int
    slot_idle_seconds: int
    prepared: str | None
    open_writers: str | None
    role_is_superuser: bool | None
    role_is_there: bool
    role_sessions_elsewhere: int
    behind_pooler: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table or a leaf; ``rows`` as the planner estimates them, but without a key as they are, up to one over the cap."""

    table_oid: int
    name: str
    kind: str
    persistence: str
    rows: int
    bytes: int
    row_security_applies: bool
    virtual_columns: list[str]
    always_triggers: list[str]
    subscribed: bool
    owner: str
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. ``lacking`` are statements that an administrator still has to run; ``protected_by`` another migration."""

    migration: MigrationSettings
    database: str
    user: str
    server: Server
    tables: tuple[TableFacts, ...]
    lacking: tuple[str, ...] = ()
    protected_by: tuple[tuple[str, str], ...] = ()
    armed: bool = False


def read_facts(db: Connection, migration: MigrationSettings) -> tuple[Server, tuple[TableFacts, ...]]:
    """The server's and the tables'. Raises TableMissing."""
    oids = [table.table_oid for table in read_tables(db, migration.tables)]
    keys = key_columns(db, oids)
    with db.cursor(row_factory=class_row(Server)) as cursor:
        server = cursor.execute(SERVER, {"role": migration.role, "pid": db.info.backend_pid}).fetchone()
    assert server is not None
    with db.cursor(row_factory=class_row(TableFacts)) as tables:
        found = tables.execute(TABLES, {"oids": oids}).fetchall()
    keyed = [replace(table, key=keys.get(table.table_oid, ())) for table in found]
    return server, tuple(table if table.key or table.kind != "r" else _counted(db, table) for table in keyed)


def _counted(db: Connection, table: TableFacts) -> TableFacts:
    """The planner knows nothing of a table that was never analyzed. Where we may not read it, a grant is missing anyway."""
    may_read = db.execute(MAY_READ, [table.table_oid]).fetchone()
    if may_read != (True,):
        return table
    row = db.execute(sql.SQL(ROWS_AT_MOST).format(sql.SQL(table.name), NO_KEY_ROWS_MAX + 1)).fetchone()
    return replace(table, rows=int(row[0]) if row else table.rows)
