"""The demo's `orders` table: rows laid out by a seed, and an audit trigger on it."""

import random
from collections.abc import Iterator
from importlib.resources import files

import psycopg

MIGRATION_ID = "orders-amount-cents"
TARGET = "app"
CLEAN_SHARE = 0.30
"""No bad row in this first share of each part of the table, so that the window is diluted when the bad ones begin."""
BAD_TEXTS = ("", "N/A", "12,50", "EUR 9.99", "1.2.3", "twelve", "--", "9.99 -")
CLUSTER_ROWS = (4, 16)
GAP_ROWS = (4, 14)
"""Bad rows come in clusters; the gaps between are kept shorter than what would take the share under 30 %."""
FILLED_SHARE = 0.30

Row = tuple[int, str, int | None]


def rows(count: int, seed: int, *, healthy: bool, parts: int = 1) -> Iterator[Row]:
    """``count`` rows of (id, amount_text, amount_cents); the same for the same seed. ``healthy`` has no bad rows.

    Each of ``parts`` begins with clean rows, so that processes that work side by side meet the bad ones together.
    """
    dice = random.Random(seed)
    part_rows = count / parts
    bad_from = round(part_rows * CLEAN_SHARE)
    left, bad, owed = 0, False, 0.0
    for position in range(count):
        if position % part_rows < bad_from or healthy:
            is_bad = False
        else:
            if left == 0:
                bad = not bad or owed > 0
                left = dice.randint(*(CLUSTER_ROWS if bad else GAP_ROWS))
            left -= 1
            is_bad = bad
            owed += 0.40 - is_bad
        text = dice.choice(BAD_TEXTS) if is_bad else f"{dice.randrange(100, 100_000) / 100:.2f}"
        filled = dice.randrange(1, 10_000) * 1_000_003 if dice.random() < FILLED_SHARE else None
        yield position + 1, text, filled


def create(dsn: str, count: int, seed: int, *, healthy: bool, parts: int = 1) -> None:
    """Make the table with its rows, then the audit."""
    folder = files(__package__)
    with psycopg.connect(dsn) as db:
        db.execute(folder.joinpath("orders.sql").read_bytes())
        with db.cursor().copy("COPY orders (id, amount_text, amount_cents) FROM STDIN") as copy:
            for row in rows(count, seed, healthy=healthy, parts=parts):
                copy.write_row(row)
        db.execute(folder.joinpath("orders_audit.sql").read_bytes())
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("VACUUM ANALYZE orders")
