"""A runner with a bug and without an undo: ``python -m holdfast_consoles.demo.careless_runner DSN ROWS BATCH_ROWS``.

It takes every amount times ten instead of a hundred, a batch a transaction, as a role of its own, and joins the migration as any
SQL client does. What it commits is wrong, and it could not take it back.
"""

import os
import sys
import time

import psycopg
from psycopg.conninfo import make_conninfo

from holdfast import Reporter

from .orders import MIGRATION_ID, TARGET
from .runner import BATCH_DELAY_SECONDS

ROLE = "orders_migrator"
STATEMENT = """
    UPDATE orders SET amount_cents = round(amount_text::numeric * 10)::bigint WHERE id BETWEEN %s AND %s
"""


def main(dsn: str, rows: int, batch_rows: int) -> int:
    """Run it to its end, if nobody ends it before."""
    name = f"holdfast-runner-{os.getpid()}"
    with (
        psycopg.connect(make_conninfo(dsn, user=ROLE, application_name=name), autocommit=True) as db,
        Reporter.from_env().run(MIGRATION_ID, target=TARGET, total_rows=rows) as run,
    ):
        db.execute("SELECT holdfast.join(%s)", [MIGRATION_ID])
        for first in range(1, rows + 1, batch_rows):
            run.checkpoint()
            with run.batch(rows=batch_rows):
                db.execute(STATEMENT, [first, first + batch_rows - 1])
            time.sleep(BATCH_DELAY_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
