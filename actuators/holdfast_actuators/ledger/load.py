"""What the ledger has before it, for /metrics: a few counts that cost little while little is open."""

from dataclasses import dataclass, field

import psycopg

from .entry import OPEN

MOST_ROWS = 100_000
"""Of more that is owed so many are counted: a figure must not cost what it warns of."""
RUN_STATES = ("waiting", "live", "undoing", "finished")


@dataclass(frozen=True)
class Load:
    """Rows, by state where they have one; ``oldest_owed`` is the number of the outbox's first row, None when it is empty."""

    outbox_rows: int = 0
    oldest_owed: int | None = None
    notification_rows: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)


def read(db: psycopg.Connection) -> Load:
    """Count it, inside the caller's transaction. States that nothing is in count zero: that is known."""
    owed = db.execute(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT %s) o), (SELECT min(seq) FROM outbox),"
        " (SELECT count(*) FROM (SELECT 1 FROM notification LIMIT %s) n)",
        (MOST_ROWS, MOST_ROWS),
    ).fetchone()
    assert owed is not None
    actions = db.execute(
        "SELECT state, count(*) FROM action WHERE state IN ('requested', 'acknowledged', 'unacknowledged', 'held')"
        " GROUP BY state"
    ).fetchall()
    runs = db.execute("SELECT state, count(*) FROM run WHERE state <> 'closed' GROUP BY state").fetchall()
    outbox_rows, oldest_owed, notification_rows = owed
    return Load(
        outbox_rows,
        oldest_owed,
        notification_rows,
        actions=dict.fromkeys(OPEN, 0) | dict(actions),
        runs=dict.fromkeys(RUN_STATES, 0) | dict(runs),
    )
