"""What a runner pays: ``python -m benchmarks.reporter_cost [--rounds 7]``: counting, against prometheus-client.

Ours: ``with run.batch(rows=n)`` through a Reporter whose flusher is alive and whose sink keeps nothing. The peer: one
counter increment and one histogram observation, both found by their labels, as an instrumented runner does for each batch.
"A row" is a batch of one row, the dearest way to use it; rows in larger batches share their batch's cost.
Then ``checkpoint()`` while nothing is wanted, against the reading of one attribute of an object, each in a bare loop.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from holdfast import MemorySink, Reporter, Settings
from holdfast_producers.run import Run
from holdfast_schemas.record import Record
from holdfast_schemas.transport.topics import Topic

from .rounds import Comparison, Measured, alternate, table, write

BATCH_ROWS = 500
BATCHES = 50_000
LOOKS = 1_000_000


class Forgetful(MemorySink):
    """Delivers as the sink in memory does, and keeps no report: the runner's side alone is measured."""

    def poll(self, seconds: float) -> None:
        super().poll(seconds)
        with self._lock:
            self._sent.clear()

    def send(self, topic: Topic[Any], record: Record, settled: Any, partition: int | None = None) -> None:
        super().send(topic, record, settled, partition)


def nanoseconds(work: Callable[[int], None], times: int) -> float:
    """CPU of this process for one of ``times`` repetitions; other processes on the machine are not in it."""
    began = time.process_time_ns()
    work(times)
    return (time.process_time_ns() - began) / times


def batches(run: Run, rows: int) -> Callable[[int], None]:
    """A batch each."""

    def work(times: int) -> None:
        for _ in range(times):
            with run.batch(rows=rows):
                pass

    return work


def prometheus() -> Callable[[int], None]:
    """A batch each, as prometheus-client counts it."""
    registry = CollectorRegistry()
    rows = Counter("rows", "Rows.", ["migration", "target"], registry=registry)
    seconds = Histogram("batch_seconds", "Batches.", ["migration", "target"], registry=registry)

    def work(times: int) -> None:
        for _ in range(times):
            began = time.perf_counter()
            rows.labels("orders-add-currency", "orders").inc(BATCH_ROWS)
            seconds.labels("orders-add-currency", "orders").observe(time.perf_counter() - began)

    return work


class Plain:
    """Something with an attribute."""

    __slots__ = ("hold",)

    def __init__(self) -> None:
        self.hold: str | None = None


def attribute(times: int) -> None:
    """The reading of one attribute."""
    plain = Plain()
    for _ in range(times):
        plain.hold  # noqa: B018 - it is what is measured


def checkpoints(run: Run) -> Callable[[int], None]:
    """A checkpoint each, while the run may go on."""

    def work(times: int) -> None:
        for _ in range(times):
            run.checkpoint()

    return work


def measure(rounds: int, batch_count: int = BATCHES, look_count: int = LOOKS) -> list[Comparison]:
    """A row of the table each: a batch, a row, a checkpoint."""
    with Reporter(Settings(), Forgetful()).run("orders-add-currency", target="orders") as run:
        pairs: list[tuple[str, str, int, Callable[[int], None], Callable[[int], None]]] = [
            ("a batch", "≤ 0.5", batch_count, batches(run, BATCH_ROWS), prometheus()),
            ("a row", "≤ 0.3", batch_count, batches(run, 1), prometheus()),
            ("checkpoint(), not paused", "≤ 3", look_count, checkpoints(run), attribute),
        ]
        rows = []
        for name, aim, times, ours, peer in pairs:
            peers, own = alternate(rounds, partial(timed, peer, times), partial(timed, ours, times))
            rows.append(Comparison(name, "ns", aim, [m["ns"] for m in own], [m["ns"] for m in peers]))
    return rows


def timed(work: Callable[[int], None], times: int) -> Measured:
    """One round of one side."""
    return {"ns": nanoseconds(work, times)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.rounds)
    print(table(rows))
    write(options.json, rows)


if __name__ == "__main__":
    main()
