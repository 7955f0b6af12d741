"""What was taken away from an armed migration: what it wrote since may be missing in the log, without a word about it there.

PostgreSQL 18 passes over a publication that is gone: a slot then reads as if nothing had been written.
"""

from psycopg import sql

from .. import journal
from ..connecting import Connection

PUBLICATION = "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = %s"
NAMED = sql.SQL("""
    SELECT p.table_name, c.oid IS NOT NULL, EXISTS (
        SELECT FROM pg_publication_rel r JOIN pg_publication b ON b.oid = r.prpubid
        WHERE b.pubname = %s AND r.prrelid = p.table_oid)
    FROM {} p LEFT JOIN pg_class c ON c.oid = p.table_oid WHERE p.migration_id = %s AND p.named ORDER BY p.table_name
""").format(journal.table("protected"))


def gaps(db: Connection, recovery: journal.Recovery) -> list[str]:
    """Each one in words; empty where the log can be trusted."""
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
    return found
