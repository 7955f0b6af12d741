"""DDL on a live table: a statement that waits for a lock holds up everybody behind it, so it waits a second, and tries again."""

import random
import time

import psycopg
from psycopg import sql

from .connecting import Connection, Statement

LOCK_SECONDS = 1.0
ATTEMPTS = 10
PAUSE_SECONDS = 0.5
"""Between two attempts, and up to as much more at random: what queued behind the lock gets through."""


def with_bounded_lock_waits(db: Connection, statement: Statement, *, statement_seconds: float) -> None:
    """Run it in a transaction of its own; an origin or slot that a session is just leaving is waited for in the same way.

    Raises LockNotAvailable or ObjectInUse after the last attempt, QueryCanceled when it takes longer.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with db.transaction():
                db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(f"{LOCK_SECONDS:g}s"))
                db.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(f"{statement_seconds:g}s"))
                db.execute(statement)
                return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.ObjectInUse):
            if attempt == ATTEMPTS:
                raise
        time.sleep(PAUSE_SECONDS * (1 + random.random()))
