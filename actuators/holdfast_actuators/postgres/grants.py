"""What the actuator's role must be allowed on a target, and the exact SQL that allows it. No superuser anywhere.

Each was removed in turn, and each was missed (tests/recovery/test_grants.py). Whoever administers the server runs them once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.settings import MigrationSettings

from .connecting import Connection, Statement
from .managed import detect
from .tables import read_tables

SETTING_PRIVILEGES_FROM = 150_000
FUNCTIONS = (
    "pg_replication_origin_create(text)",
    "pg_replication_origin_drop(text)",
    "pg_replication_origin_session_setup(text)",
    "pg_replication_origin_session_reset()",
    "pg_replication_origin_session_is_setup()",
)
RESTORE_POINT_FUNCTIONS = ("pg_create_restore_point(text)", "pg_switch_wal()")
LOGIN_FUNCTION = sql.SQL("""CREATE SCHEMA IF NOT EXISTS holdfast_fence;
CREATE OR REPLACE FUNCTION holdfast_fence.let_log_in(role_name name, may boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF role_name NOT IN ({roles}) THEN
        RAISE 'role % is not a migration''s', role_name USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('ALTER ROLE %I %s', role_name, CASE WHEN may THEN 'LOGIN' ELSE 'NOLOGIN' END);
END $$;
REVOKE ALL ON FUNCTION holdfast_fence.let_log_in(name, boolean) FROM PUBLIC;
GRANT USAGE ON SCHEMA holdfast_fence TO {role};
GRANT EXECUTE ON FUNCTION holdfast_fence.let_log_in(name, boolean) TO {role}""")
"""SECURITY DEFINER, for ALTER ROLE needs more than a guard should have; it knows the migrations' roles and no others."""
REPLICA_FUNCTION = sql.SQL("""CREATE SCHEMA IF NOT EXISTS holdfast_fence;
CREATE OR REPLACE FUNCTION holdfast_fence.write_as_replica() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
    $$ SELECT set_config('session_replication_role', 'replica', false) $$;
REVOKE ALL ON FUNCTION holdfast_fence.write_as_replica() FROM PUBLIC;
GRANT USAGE ON SCHEMA holdfast_fence TO {role};
GRANT EXECUTE ON FUNCTION holdfast_fence.write_as_replica() TO {role}""")
"""Up to 14 no grant reaches a setting that is a superuser's."""
REPLICA_FUNCTION_CHECK = sql.SQL("""
    SELECT coalesce((SELECT has_function_privilege({role_name}, p.oid, 'EXECUTE')
                     AND has_schema_privilege({role_name}, n.oid, 'USAGE')
                     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                     WHERE n.nspname = 'holdfast_fence' AND p.proname = 'write_as_replica'), false)
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = {role_name})
""")
LOGIN_FUNCTION_CHECK = sql.SQL("""
    SELECT coalesce((SELECT has_function_privilege({role_name}, p.oid, 'EXECUTE')
                     AND has_schema_privilege({role_name}, n.oid, 'USAGE')
                     AND p.prosrc LIKE '%' || quote_literal({migrator}) || '%'
                     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                     WHERE n.nspname = 'holdfast_fence' AND p.proname = 'let_log_in'), false)
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = {role_name})
""")


@dataclass(frozen=True, slots=True)
class Grant:
    """``run`` is what an administrator runs; ``check`` selects one boolean: whether the role has it."""

    why: str
    run: Statement
    check: Statement

    def held(self, db: Connection) -> bool:
        """Whether the role has it now."""
        row = db.execute(self.check).fetchone()
        return bool(row and row[0])


def grants(db: Connection, role_name: str, migration: MigrationSettings, *, point_in_time: bool = False) -> list[Grant]:
    """All that ``role_name``, the actuator's, needs for this migration. Raises TableMissing."""
    return [
        *_server(db, role_name),
        *_tables(db, role_name, migration),
        *_functions(role_name, FUNCTIONS, "for replication origins, which tag what the migration writes"),
        _login(role_name, migration),
        *_functions(role_name, RESTORE_POINT_FUNCTIONS if point_in_time else (), "for the restore point of a clone"),
    ]


def lacking(
    db: Connection, role_name: str, migration: MigrationSettings, *, point_in_time: bool = False
) -> list[Grant]:
    """Those that it has not."""
    return [grant for grant in grants(db, role_name, migration, point_in_time=point_in_time) if not grant.held(db)]


def _server(db: Connection, role_name: str) -> Iterator[Grant]:
    role, literal = sql.Identifier(role_name), sql.Literal(role_name)
    kind = detect(db)
    if kind is not None and kind.replication_role is not None:
        yield Grant(
            "to read the slot",
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(kind.replication_role), role),
            sql.SQL("SELECT pg_has_role({}, {}, 'MEMBER')").format(literal, kind.replication_role),
        )
    else:
        yield Grant(
            "to read the slot",
            sql.SQL("ALTER ROLE {} REPLICATION").format(role),
            sql.SQL("SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = {}").format(literal),
        )
    for name, why in (("pg_signal_backend", "to end the migration's sessions"), ("pg_read_all_stats", "to see them")):
        yield Grant(
            why,
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), role),
            sql.SQL("SELECT pg_has_role({}, {}, 'USAGE')").format(literal, name),
        )
    yield Grant(
        "for its journal and its publications",
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(db.info.dbname), role),
        sql.SQL("SELECT has_database_privilege({}, current_database(), 'CREATE')").format(literal),
    )
    by_grant = db.info.server_version >= SETTING_PRIVILEGES_FROM
    yield Grant(
        "so that triggers and cascades do not fire a second time",
        sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(role)
        if by_grant
        else REPLICA_FUNCTION.format(role=role),
        sql.SQL("SELECT has_parameter_privilege({}, 'session_replication_role', 'SET')").format(literal)
        if by_grant
        else REPLICA_FUNCTION_CHECK.format(role_name=literal),
    )


def _tables(db: Connection, role_name: str, migration: MigrationSettings) -> Iterator[Grant]:
    oids = [table.table_oid for table in read_tables(db, migration.tables)]
    owners = db.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = ANY(%s::oid[])"
        " AND pg_get_userbyid(relowner) <> %s ORDER BY 1",
        [oids, role_name],
    )
    for (owner,) in owners.fetchall():
        yield Grant(
            "for the tables: replica identity, trigger, publication, and writing their rows back",
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), sql.Identifier(role_name)),
            sql.SQL("SELECT pg_has_role({}, {}, 'USAGE')").format(role_name, owner),
        )


def _functions(role_name: str, functions: Sequence[str], why: str) -> Iterator[Grant]:
    for function in functions:
        yield Grant(
            why,
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), sql.Identifier(role_name)),
            sql.SQL("SELECT has_function_privilege({}, {}, 'EXECUTE')").format(role_name, f"pg_catalog.{function}"),
        )


def _login(role_name: str, migration: MigrationSettings) -> Grant:
    return Grant(
        "so that the migration's role can be fenced",
        LOGIN_FUNCTION.format(roles=sql.Literal(migration.role), role=sql.Identifier(role_name)),
        LOGIN_FUNCTION_CHECK.format(role_name=sql.Literal(role_name), migrator=sql.Literal(migration.role)),
    )
