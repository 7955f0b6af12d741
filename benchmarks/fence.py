"""How long a migration still commits once it is to be fenced: ``python -m benchmarks.fence [--writers 4] [--rounds 20]``.

On a PostgreSQL of its own, with fsync. Some sessions of the migration, each in a process that connects again whenever it is cut
off, commit a row at a time without a pause. Ours is the time from the call of ``fence`` to the last commit that any of them had
an answer to. The peers are one round trip under the same load, just before, on the session that fences: a SELECT, and a row
committed.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.fence import fence, lift
from holdfast_consoles.embedded.postgres import EmbeddedPostgres

from .rounds import Comparison, table, write
from .undo import MIGRATION, ROLE, armed_database

WRITER = """
import sys, threading, time, psycopg
dsn, migration_id, row = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
last, joined = 0.0, False
while not ended.is_set():
    try:
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("SELECT holdfast.join(%s)", [migration_id])
            while not ended.is_set():
                db.execute("UPDATE public.accounts SET cents = cents + 1 WHERE id = %s", [row])
                last = time.monotonic()
                if not joined:
                    joined = print("joined", flush=True) is None
    except psycopg.Error:
        pass
print(last)
"""
"""Its clock is that of every process of the machine."""
TRIPS = 200


def one_round(dsn: str, writers: int) -> tuple[float, float, float, float]:
    """Seconds: fence to the last commit, a SELECT, a committed row, the whole fence."""
    command = [sys.executable, "-c", WRITER, make_conninfo(dsn, user=ROLE), MIGRATION]
    processes = [
        subprocess.Popen([*command, str(row)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for row in range(1, writers + 1)
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "joined\n"
        with connect("app", dsn) as db:
            select = trip(db, "SELECT 1")
            commit = trip(db, f"UPDATE public.accounts SET cents = 0 WHERE id = {writers + 1}")
            token = journal.take(db, MIGRATION)
            began = time.monotonic()
            fenced = fence(db, MIGRATION, token)
            time.sleep(0.2)  # whoever is not shut out shows now
            last = max(float(process.communicate()[0]) for process in processes)
            lift(db, MIGRATION, token)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return last - began, select, commit, fenced.seconds


def trip(db: Connection, statement: str) -> float:
    """The median of some."""
    seconds = []
    for _ in range(TRIPS):
        began = time.monotonic()
        db.execute(statement)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def main(writers: int, rounds: int, json: Path | None) -> int:
    """Print the table; the exit code."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute(f"CREATE ROLE {ROLE} LOGIN")
        dsn = armed_database(server, writers + 1, sessions=writers)
        found = [
            Comparison("fence → last commit, against a SELECT", "ms", ""),
            Comparison("fence → last commit, against a committed row", "ms", ""),
            Comparison("the whole fence, against a committed row", "ms", ""),
        ]
        for number in range(rounds):
            last, select, commit, whole = (seconds * 1000 for seconds in one_round(dsn, writers))
            print(f"round {number + 1} of {rounds}: {last:.2f} ms to the last commit, {whole:.2f} ms in all")
            for line, ours, peer in zip(found, (last, last, whole), (select, commit, commit), strict=True):
                line.ours.append(ours)
                line.peer.append(peer)
        print(table(found))
        write(json, found)
        with connect("app", dsn) as db:
            disarm(db, MIGRATION)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sys.exit(main(arguments.writers, arguments.rounds, arguments.json))
