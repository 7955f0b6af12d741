"""How big a migration's state is: ``python -m benchmarks.state_size [--migrations 100000]``, under the three default triggers.

Each migration's run of one worker has reported for six minutes of log time, a batch duration sketch with each report, so
that every pane of every window is filled. Encoded is what the changelog holds; resident is what a process grew by.
"""

import argparse
import json
import random
import statistics
import sys
from pathlib import Path

import psutil

from holdfast_processors.engine import keeping
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord
from holdfast_processors.engine.state import PartitionState
from holdfast_schemas.events import ProgressReported, RunStarted
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.sketch import LatencySketch, bucket
from holdfast_schemas.transport.codec import encode

START_MS = 1_772_366_400_000
MINUTES = 6
EVERY_SECONDS = 10
"""A report each: as many panes as with one each second, in a tenth of the time."""
SAMPLES = 20
AIM_ENCODED_BYTES, AIM_RESIDENT_BYTES, AIM_MEGABYTES = 3 * 1024, 12 * 1024, 1.4 * 1024


def a_run(number: int, dice: random.Random) -> list[tuple[int, bytes, bytes]]:
    """(log time, key, value) of one migration's records."""
    who = {"migration_id": f"orders-add-currency-{number:06}", "run_id": new_id(), "worker_id": new_id()}
    records = []
    began = START_MS + dice.randrange(EVERY_SECONDS * 1000)
    events = [
        RunStarted(**who, seq=1, occurred_at=from_milliseconds(began), target="orders", start_epoch=1, total_rows=10**7)
    ]
    records += [(began, encoded.key, encoded.value) for encoded in map(encode, events)]
    for turn in range(1, MINUTES * 60 // EVERY_SECONDS + 1):
        now, rows = began + turn * EVERY_SECONDS * 1000, turn * 5_000
        found: dict[int, int] = {}
        for _ in range(SAMPLES):
            index = bucket(round(dice.lognormvariate(18.0, 0.4)))
            found[index] = found.get(index, 0) + 1
        encoded = encode(
            ProgressReported(
                **who, seq=turn + 1, occurred_at=from_milliseconds(now), start_epoch=1, applied_epoch=1, resumed_epoch=1,
                phase="backfill", phase_rows_processed=rows - turn, total_rows=10**7, rows_processed=rows - turn,
                rows_attempted=rows, error_count=turn, busy_seconds=turn * 8.0, interval_seconds=1.0,
                batch_duration=LatencySketch.of(found),
            )
        )  # fmt: skip
        records.append((now, encoded.key, encoded.value))
    return records


def fill(state: PartitionState, migrations: int) -> None:
    """Let them report side by side, ten at a time."""
    dice, offset = random.Random(1), 0
    for first in range(0, migrations, 10):
        together = [record for n in range(first, min(first + 10, migrations)) for record in a_run(n, dice)]
        for now, key, value in sorted(together):
            step(state, LogRecord(0, offset, now, key, value))
            offset += 1
        state.now = None  # the next ones live in the same minutes


def measure(migrations: int) -> dict[str, float]:
    """Bytes a migration, encoded and resident, and megabytes of them all."""
    state, process = PartitionState(0), psutil.Process()
    fill(PartitionState(0), 10)  # what is loaded once is not the states'
    before = process.memory_info().rss
    fill(state, migrations)
    resident = process.memory_info().rss - before
    sizes = [len(keeping.encode(state, key) or b"") for key in list(state.migrations)[:1000]]
    return {
        "encoded": statistics.median(sizes),
        "encoded_max": max(sizes),
        "resident": resident / migrations,
        "megabytes": resident / 2**20,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--migrations", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    migrations = options.migrations
    found = measure(migrations)
    if options.json is not None:
        options.json.write_text(json.dumps({"migrations": migrations, **found}, indent=1) + "\n")
    print("| state of a migration | measured | aim |\n|---|---|---|")
    print(
        f"| encoded | {found['encoded']:,.0f} bytes (at most {found['encoded_max']:,.0f}) | ≤ {AIM_ENCODED_BYTES:,} |"
    )
    print(f"| resident | {found['resident']:,.0f} bytes | ≤ {AIM_RESIDENT_BYTES:,} |")
    print(f"| {migrations:,} of them | {found['megabytes']:,.0f} MB | 100,000: ≤ {AIM_MEGABYTES:,.0f} MB |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
