"""Who may read the journal, which holds rows of protected tables: its owner, and whoever may read every table anyway.

Rights come unseen with default privileges, so each arming takes away what others have. No ACL reaches a member of
``pg_read_all_data``; row level security does, and stops a ``pg_dump`` by such a role: so it is on where a protected table has it.
"""

from psycopg import sql

from . import journal
from .connecting import Connection, Statement
from .laying_out import SCHEMA
from .lock_waits import with_bounded_lock_waits

STATEMENT_SECONDS = 10
HOLDS_ROWS = ("change", "conflict")
GRANTED = """
    SELECT DISTINCT c.relname::text, g.grantee = 0, pg_get_userbyid(g.grantee)::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
    CROSS JOIN LATERAL (SELECT grantee FROM aclexplode(c.relacl) UNION SELECT grantee FROM aclexplode(a.attacl)) g
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm') AND g.grantee <> c.relowner ORDER BY 1, 3
"""
HIDES_ROWS = sql.SQL("""
    SELECT EXISTS (SELECT FROM {} p JOIN pg_class c ON c.oid = p.table_oid WHERE c.relrowsecurity)
""").format(journal.table("protected"))
HIDDEN = "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass"


def close_to_others(db: Connection) -> None:
    """Take every right on the journal's tables and columns from all but their owner. Raises psycopg.Error."""
    for name, is_public, grantee in db.execute(GRANTED, [SCHEMA]).fetchall():
        from_whom = sql.SQL("PUBLIC") if is_public else sql.Identifier(grantee)
        _run(db, sql.SQL("REVOKE ALL ON {} FROM {} CASCADE").format(journal.table(name), from_whom))
    if db.execute(HIDES_ROWS).fetchone() != (True,):
        return
    for name in HOLDS_ROWS:
        if db.execute(HIDDEN, [f"{SCHEMA}.{name}"]).fetchone() != (True,):
            _run(db, sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(journal.table(name)))


def _run(db: Connection, statement: Statement) -> None:
    with_bounded_lock_waits(db, statement, statement_seconds=STATEMENT_SECONDS)
