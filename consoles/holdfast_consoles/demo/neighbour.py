"""The demo's neighbour: another session that locks the migrated table, as an index build or a careless report does.

``python -m holdfast_consoles.demo.neighbour DSN HOLD_SECONDS GAP_SECONDS``: locks `orders` against writes for so long, lets
go for so long, and again. SIGTERM ends it, and with it its lock.
"""

import signal
import sys
import threading

import psycopg


def main(dsn: str, hold_seconds: float, gap_seconds: float) -> int:
    """Lock and let go until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with psycopg.connect(dsn, application_name="demo-neighbour") as db:
        while not stop.wait(gap_seconds):
            # The lock is held by an idle transaction: were it by a sleeping statement, it would outlive this process.
            with db.transaction():
                db.execute("LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE")
                stop.wait(hold_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(float, sys.argv[2:])))
