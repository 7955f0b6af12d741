"""What keeps an undo from being whole, seen before the log is read: rows that may be missing in it, or that a policy hides.

PostgreSQL 18 passes over a publication that is gone: a slot then reads as if nothing had been written.
"""

from psycopg import sql

from .. import journal
from ..connecting import Connection
from ..laying_out import laid_out

PUBLICATION = "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = %s"
WHOLLY_LOGGED = """
    SELECT unnest(array_agg(format('%%I.%%I', n.nspname, c.relname))) FROM pg_publication b
    JOIN pg_publication_rel r ON r.prpubid = b.oid
    CROSS JOIN LATERAL (SELECT r.prrelid AS oid UNION SELECT relid FROM pg_partition_tree(r.prrelid)) t
    JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE b.pubname = %s GROUP BY r.prrelid HAVING bool_and(c.relpersistence = 'p' AND c.relkind IN ('r', 'p'))
"""
NAMED = sql.SQL("""
    SELECT p.table_name, c.oid IS NOT NULL, EXISTS (
        SELECT FROM pg_publication_rel r JOIN pg_publication b ON b.oid = r.prpubid
        WHERE b.pubname = %s AND r.prrelid = p.table_oid)
    FROM {} p LEFT JOIN pg_class c ON c.oid = p.table_oid WHERE p.migration_id = %s AND p.named ORDER BY p.table_name
""").format(journal.table("protected"))

HIDING = sql.SQL("""
    SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname) FROM {} p
    CROSS JOIN LATERAL (SELECT p.table_oid AS oid UNION SELECT relid FROM pg_partition_tree(p.table_oid)) t
    JOIN pg_class c ON c.oid = t.oid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.migration_id = %s AND row_security_active(c.oid) ORDER BY 1
""").format(journal.table("protected"))
KEPT = sql.SQL("SELECT catalog_rows = {} FROM {} WHERE migration_id = %s").format(
    journal.PUBLISHED, journal.table("published")
)


def wholly_logged(db: Connection, publication: str) -> frozenset[str]:
    """Tables, roots and leaves, of which the slot shows every row that is written: a statement of which it shows none wrote
    none. One that was detached since, or renamed, is not among them."""
    return frozenset(name for (name,) in db.execute(WHOLLY_LOGGED, [publication]))


def gaps(db: Connection, recovery: journal.Recovery) -> list[str]:
    """Each one in words; empty where the log can be trusted, and all rows be seen."""
    row = db.execute(PUBLICATION, [recovery.publication]).fetchone()
    if row is None:
        return [
            f"publication {recovery.publication} was dropped since: the log does not hold what was written after that"
        ]
    found = [] if row[0] else [f"publication {recovery.publication} was altered since: it leaves operations out"]
    for name, exists, published in db.execute(NAMED, [recovery.publication, recovery.migration_id]):
        if not exists:
            found.append(f"{name} was dropped since")
        elif not published:
            found.append(f"{name} was taken out of publication {recovery.publication} since")
    if not found and _published_anew(db, recovery):
        found.append(
            f"publication {recovery.publication} was altered, or dropped and made again, since: the log may lack what was"
            " written meanwhile"
        )
    found += [
        f"row level security of {name} applies to {db.info.user}, which may not see all its rows:"
        f" ALTER ROLE {db.info.user} BYPASSRLS, or ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"
        for (name,) in db.execute(HIDING, [recovery.migration_id])
    ]
    return found


def _published_anew(db: Connection, recovery: journal.Recovery) -> bool:
    """False too where an earlier release armed it, which did not keep what the publication was."""
    if not laid_out(db, "published"):
        return False
    row = db.execute(KEPT, [recovery.publication, recovery.migration_id]).fetchone()
    return row is not None and not row[0]
