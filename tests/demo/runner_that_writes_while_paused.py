"""Planted: reports like an honest runner, and goes on writing while it says that it is paused."""

import sys
import threading

import psycopg

from holdfast_consoles.demo.runner import main


def write_on(dsn: str, ended: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True, application_name="holdfast-runner") as db:
        while not ended.wait(0.2):
            db.execute("UPDATE orders SET amount_cents = amount_cents + 1 WHERE id = (SELECT min(id) FROM orders)")


if __name__ == "__main__":
    ended = threading.Event()
    writer = threading.Thread(target=write_on, args=(sys.argv[1], ended), daemon=True)
    writer.start()
    code = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    ended.set()
    writer.join()
    sys.exit(code)
