"""Take a recovery over from whoever has it: one that works is waited for, one that froze in the middle of a capture is ended.

A frozen process keeps its transaction, and so the lock on the recovery's row, for good: it is in a COPY, where no timeout of the
server ends it. That it reads its slot no more tells it from one that works: the server gives such a reader up.
"""

import psycopg

from .. import journal
from ..connecting import Connection
from .capture import session_name

LOOK_SECONDS = 2
"""Between two looks; one that is seen frozen in both is ended."""
FROZEN = """
    SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database() AND pid <> pg_backend_pid()
        AND state = 'active' AND wait_event = 'ClientRead'
        AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s AND active)
"""


def take_over(db: Connection, recovery: journal.Recovery) -> int:
    """The new fencing token, as :func:`journal.take` gives it; waits as long as another one captures."""
    before: set[int] = set()
    while True:
        try:
            with db.transaction():
                db.execute(f"SET LOCAL lock_timeout = '{LOOK_SECONDS}s'")
                return journal.take(db, recovery.migration_id)
        except psycopg.errors.LockNotAvailable:
            rows = db.execute(FROZEN, [session_name(recovery.slot), recovery.slot]).fetchall()
            frozen = {pid for (pid,) in rows}
            for pid in frozen & before:
                db.execute("SELECT pg_terminate_backend(%s)", [pid])
            before = frozen
