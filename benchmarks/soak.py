"""Does `holdfast processor` keep up with 5,000 events a second, and does its memory stay what it was?

    python -m benchmarks.soak [--seconds 600] [--events-per-second 5000]

Exit 1 when its memory, from the second minute on, grows by more than 10 % + 20 MB.
"""

import argparse
import sys
import time

import psutil
from tests.kills.load import Load

from .stage import default_processor, kafka_and_folder

EVERY_SECONDS = 30.0
SETTLED_SECONDS = 120.0
MIGRATIONS = 200
ALLOWED_SHARE, ALLOWED_MEGABYTES = 0.10, 20.0


def grown_too_much(samples: list[tuple[float, float]]) -> str | None:
    """What is wrong with (seconds, megabytes) samples, if anything. Short runs compare from their first sample on."""
    settled = [megabytes for seconds, megabytes in samples if seconds >= SETTLED_SECONDS] or [m for _, m in samples]
    allowed = settled[0] * (1 + ALLOWED_SHARE) + ALLOWED_MEGABYTES
    if max(settled) <= allowed:
        return None
    return f"memory grew from {settled[0]:.0f} MB to {max(settled):.0f} MB; at most {allowed:.0f} MB are allowed"


def soak(seconds: float, events_per_second: int) -> str | None:
    """Print a row each 30 s; returns what is wrong with the memory, if anything."""
    samples: list[tuple[float, float]] = []
    with kafka_and_folder() as (kafka, folder), default_processor(folder, kafka, "processor") as worker:
        worker.wait_ready()
        process = psutil.Process(worker.process.pid)
        print(
            f"{'s':>5} {'sent/s':>8} {'judged/s':>8} {'lag s':>6} {'CPU %':>6} {'RSS MB':>7} {'decisions':>9}",
            flush=True,
        )
        with Load(kafka, MIGRATIONS, events_per_second) as load:
            began = time.monotonic()
            process.cpu_percent()
            before, sent, judged = began, load.sent, worker.figure("holdfast_processor_events_read_total")
            while before - began < seconds:
                time.sleep(min(EVERY_SECONDS, max(1.0, seconds - (before - began))))
                assert worker.process.poll() is None, worker.log()[-3000:]
                at, sent_now = time.monotonic(), load.sent
                judged_now = worker.figure("holdfast_processor_events_read_total")
                megabytes = process.memory_info().rss / 2**20
                samples.append((at - began, megabytes))
                print(
                    f"{at - began:5.0f} {(sent_now - sent) / (at - before):8.0f} {(judged_now - judged) / (at - before):8.0f}"
                    f" {worker.figure('holdfast_processor_lag_seconds'):6.2f} {process.cpu_percent():6.0f}"
                    f" {megabytes:7.1f} {worker.figure('holdfast_processor_decisions_total'):9.0f}",
                    flush=True,
                )
                before, sent, judged = at, sent_now, judged_now
        assert worker.stop() == 0, worker.log()[-3000:]
    return grown_too_much(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--events-per-second", type=int, default=5_000)
    arguments = parser.parse_args()
    if wrong := soak(arguments.seconds, arguments.events_per_second):
        sys.exit(wrong)
    print("memory stayed what it was")


if __name__ == "__main__":
    main()
