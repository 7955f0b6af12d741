"""What an actuator looks at before a run asks to start: whether much is at stake. What cannot be told counts as much."""

import psycopg

from holdfast_schemas.errors import FileUnreadable, HoldfastError, TargetUnreachable
from holdfast_schemas.settings import MigrationSettings

from ...protection import Major
from ..connecting import Connection
from ..tables import read_tables
from .report import at_stake
from .statements import judge_plan

BYTES = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE oid = ANY(%s::oid[])"


def look_what_is_at_stake(db: Connection, migration: MigrationSettings) -> Major:
    """By the plan and the tables as they are now. Raises TargetUnreachable, psycopg.OperationalError."""
    try:
        plan = None if migration.plan is None else read_plan(migration)
        statements = () if plan is None else judge_plan(plan)
        oids = [table.table_oid for table in read_tables(db, migration.tables)]
        row = db.execute(BYTES, [oids]).fetchone()
        return at_stake(statements, int(row[0]) if row else 0, migration)
    except (TargetUnreachable, psycopg.OperationalError):
        raise
    except (HoldfastError, psycopg.Error) as error:
        return Major(True, f"what is at stake cannot be told: {' '.join(str(error).split())}")


def read_plan(migration: MigrationSettings) -> str:
    """The plan's SQL. Raises FileUnreadable."""
    assert migration.plan is not None
    try:
        return migration.plan.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(migration.plan, str(error)) from None
