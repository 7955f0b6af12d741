"""How big the ledger gets: ``python -m benchmarks.ledger_size [--decisions 10000]``, on a PostgreSQL 18 of its own.

Half of the decisions are noted (a warning: one row, one outcome). The other half pause a run that obeys, and a person
resumes it: two rows of three outcomes together. What is sent is taken out of the outbox, as the relay does.
"""

import argparse
import itertools
import time

import psycopg
from tests.actuators.conftest import SCHEMA, Bench, decision_of

from holdfast_actuators.ledger import Ledger, condition
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.settings import ActuatorSettings


def sizes(bench: Bench) -> dict[str, tuple[int, int]]:
    """Rows and bytes by table, indexes and TOAST in them; dead rows are vacuumed first, as autovacuum does."""
    bench.execute("VACUUM")
    found = condition.read(bench.ledger.db, SCHEMA)
    return {size.table: (size.rows or 0, size.bytes) for size in found.tables}


def noted(bench: Bench, run_id: str, count: int) -> None:
    """Warnings."""
    for _ in range(count):
        bench.ledger.decide(decision_of(run_id, "warn", 1), to_milliseconds(now()))
        bench.drain()
        bench.sent.clear()


def obeyed(bench: Bench, count: int) -> None:
    """Pauses that one worker obeys, each ended by a person."""
    run = bench.start()
    for _ in range(count):
        bench.decide(run, "pause")
        bench.acknowledge(run)
        bench.ask("resume", bench.desired().epoch)
        bench.acknowledge(run)
        del bench.sent[:-4]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--decisions", type=int, default=10_000)
    half = options.parse_args().decisions // 2
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute("CREATE DATABASE ledger")
        bench = Bench(server.dsn("ledger"), Ledger(server.dsn("ledger"), SCHEMA, ActuatorSettings()))
        bench.ledger.migrate()
        bench.listen()
        run = bench.start()
        bench.acknowledge(run)
        measured = [("empty", 0.0, sizes(bench))]
        for name, work in (("noted", lambda: noted(bench, run.run_id, half)), ("obeyed", lambda: obeyed(bench, half))):
            if name == "obeyed":
                bench.leave(run, "completed")
            began = time.monotonic()
            work()
            measured.append((name, time.monotonic() - began, sizes(bench)))
        bench.ledger.close()
    for (_, _, before), (name, seconds, after) in itertools.pairwise(measured):
        print(f"{half:,} decisions {name}, in {seconds:.0f} s")
        for table, (rows, size) in after.items():
            if size != before[table][1]:
                print(f"  {table:12}{rows - before[table][0]:>8,} rows{size - before[table][1]:>14,} bytes")
        grown = sum(size - before[table][1] for table, (_, size) in after.items() if table != "outbox")
        print(f"  without the outbox, whose rows go: {grown / half:,.0f} bytes a decision")


if __name__ == "__main__":
    main()
