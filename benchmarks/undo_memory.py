"""What a rollback from the log takes of its process, few rows or many: ``python -m benchmarks.undo_memory [--rows N ...]``.

On a PostgreSQL of its own, with fsync; for each number of rows a new database, one statement over all of them as the migration,
and the whole rollback (fence, capture, plan, undo) in a process of its own, as the actuator's would be. The memory is the peak of
its resident set, against what it was with everything imported and nothing done.
"""

import argparse
import json
import subprocess
import sys
import time

import psycopg

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_consoles.embedded.postgres import EmbeddedPostgres

from .undo import MIGRATION, ROLE, armed_database, at_once

PROGRAM = """
import json, resource, sys, time
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, began, dsn, migration_id = peak(), time.monotonic(), sys.argv[1], sys.argv[2]
done = LogRollback("app", dsn, migration_id).run()
seconds = time.monotonic() - began
print(json.dumps({"rows": done.rows, "conflicts": done.conflicts, "seconds": seconds, "before": before, "peak": peak()}))
"""
HEADER = """\
| rows | the migration | its rollback | rollback, rows/s | peak of its memory | of that, for the rollback |
|---|---|---|---|---|---|"""


def measured(server: EmbeddedPostgres, rows: int) -> str:
    """A line of the table."""
    dsn = armed_database(server, rows)
    with psycopg.connect(dsn, user=ROLE, autocommit=True) as migration:
        migration.execute("SELECT holdfast.join(%s)", [MIGRATION])
        began = time.monotonic()
        at_once(migration, rows)
        there = time.monotonic() - began
    with connect("app", dsn) as db:
        db.execute("CHECKPOINT")
    command = [sys.executable, "-c", PROGRAM, dsn, MIGRATION]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert (found["rows"], found["conflicts"]) == (rows, 0)
    with connect("app", dsn) as db:
        disarm(db, MIGRATION)
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(f"DROP DATABASE {psycopg.conninfo.conninfo_to_dict(dsn)['dbname']} WITH (FORCE)")
    back, peak, grown = found["seconds"], found["peak"] / 1024, (found["peak"] - found["before"]) / 1024
    return f"| {rows:,} | {there:.1f} s | {back:.1f} s | {rows / back:,.0f} | {peak:.0f} MB | {grown:.1f} MB |"


def main(sizes: list[int]) -> int:
    """Print the table; the exit code."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute(f"CREATE ROLE {ROLE} LOGIN")
        print(HEADER)
        for rows in sizes:
            print(measured(server, rows), flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    sys.exit(main(parser.parse_args().rows))
