"""From the event that trips a trigger to the runner that stands still: ``python -m benchmarks.stop_latency [--stops 40]``.

Ours: a guarded runner of this process with batches of 10 ms reports a batch that fails; ``for = 0``; `holdfast processor`
decides, `holdfast actuator` writes its ledger (fsync on) and orders the pause, the runner's next checkpoint blocks. A person's
request lets it go on. The peer: a record over three raw consume-and-produce hops, one with an fsynced insert. In turn.

Timed from the report's being handed to the client: what passes before (the reporter's floor of 100 ms between two reports)
and after (the rest of the batch at hand) stands beside it.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

from holdfast import Reporter, Settings
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_producers.kafka_sink import KafkaSink
from holdfast_producers.run import Run
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import Record, now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import newest
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import Topic
from holdfast_schemas.triggers import RuleSet, Trigger

from .decision_latency import Arrivals
from .processes import beside
from .rounds import Comparison, spread, table, write
from .stage import default_processor, kafka_and_folder

BATCH_SECONDS = 0.01
BATCH_ROWS = 200
MIGRATION = "stop-latency"
HOPS = 3


class Noting(KafkaSink):
    """Notes when a report that says more errors than any before it is handed over."""

    handed_at = 0.0
    errors = 0

    def send(self, topic: Topic[Any], record: Record, settled: Any, partition: int | None = None) -> None:
        if isinstance(record, ProgressReported) and record.error_count > self.errors:
            self.errors, self.handed_at = record.error_count, time.perf_counter()
        super().send(topic, record, settled, partition)


class Runner:
    """A guarded run in a thread: batches and checkpoints; ``trip`` makes its next batch fail."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._trip = threading.Event()
        self._over = threading.Event()
        self.failed_at = 0.0
        self.asked_at = 0.0
        """When it last came to a checkpoint: where it stands still, when it did."""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Runner":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _work(self) -> None:
        while not self._over.is_set():
            self.asked_at = time.perf_counter()
            self._run.checkpoint()
            with self._run.batch(rows=BATCH_ROWS) as batch:
                time.sleep(BATCH_SECONDS)
                if self._trip.is_set():
                    self._trip.clear()
                    batch.failed(rows=BATCH_ROWS)
            if batch._failed:
                self.failed_at = time.perf_counter()

    def trip(self) -> None:
        """Let the next batch fail."""
        self.failed_at = 0.0
        self._trip.set()

    @property
    def stands(self) -> bool:
        """Whether it waits in a checkpoint."""
        return self._run._hold is not None and time.perf_counter() - self.asked_at > 10 * BATCH_SECONDS


def stop_once(kafka: KafkaSettings, publisher: Publisher, sink: Noting, runner: Runner) -> dict[str, float]:
    """One stop in milliseconds, and the person's request after it."""
    time.sleep(5 * BATCH_SECONDS)
    runner.trip()
    wait_for(lambda: runner.failed_at > 0 and runner.stands, 20, "the runner to stand still", 0.002)
    found = {
        "floor": (sink.handed_at - runner.failed_at) * 1000,
        "stop": (runner.asked_at - sink.handed_at) * 1000,
    }
    paused = newest(kafka, topics.control, MIGRATION)
    assert paused is not None
    publisher.publish(
        topics.requests,
        PersonRequest(
            request_id=new_id(), kind="resume", migration_id=MIGRATION, expected_epoch=paused.epoch, actor="benchmark",
            reason="go on", occurred_at=now(),
        ),
    )  # fmt: skip
    publisher.flush()
    wait_for(lambda: not runner.stands, 20, "the runner to go on", 0.002)
    return found


def ours(kafka: KafkaSettings, stops: int) -> list[dict[str, float]]:
    """Every stop of one run."""
    settings = Settings(kafka=kafka)
    sink = Noting(kafka)
    with Publisher(kafka, "benchmark") as publisher, Reporter(settings, sink).run(MIGRATION, target="orders") as run:
        with Runner(run) as runner:
            wait_for(lambda: runner.asked_at > 0, 30, "the runner's first batch")
            found = [stop_once(kafka, publisher, sink, runner) for _ in range(stops)]
        run.finish()
    return found


def peer(kafka: KafkaSettings, stops: int) -> list[float]:
    """The same number of records over the raw hops, in milliseconds."""
    arrivals = Arrivals(kafka, hop(kafka, HOPS))
    producer = Producer({**kafka.librdkafka(), "acks": "all", "linger.ms": 0, "log_level": 0})
    sent = {}
    for _ in range(stops):
        time.sleep(5 * BATCH_SECONDS)
        key = new_id().encode()
        sent[key] = time.perf_counter()
        producer.produce(hop(kafka, 0), b"x" * 600, key, headers=[("probe", b"1")])
        producer.poll(0)
    producer.flush(10)
    wait_for(lambda: sent.keys() <= arrivals.at.keys(), 30, "every record over the hops")
    arrivals.close()
    return [(arrivals.at[key] - at) * 1000 for key, at in sent.items()]


def hop(kafka: KafkaSettings, number: int) -> str:
    """The topic after so many hops."""
    return f"{kafka.topic_prefix}.hop-{number}"


@contextmanager
def both_paths() -> Iterator[KafkaSettings]:
    """The whole loop under one rule, and the raw hops."""
    with ExitStack() as stack:
        kafka, folder = stack.enter_context(kafka_and_folder())
        server = stack.enter_context(EmbeddedPostgres())
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute("CREATE DATABASE ledger")
            db.execute("CREATE DATABASE hops")
        admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
        names = [hop(kafka, number) for number in range(HOPS + 1)]
        for future in admin.create_topics([NewTopic(name, num_partitions=12) for name in names]).values():
            future.result(30)
        for number in range(HOPS):
            dsn = (server.dsn("hops"),) if number == 1 else ()
            argv = (kafka.bootstrap_servers, names[number], names[number + 1], *dsn)
            stack.enter_context(beside(kafka, "raw_hop", *argv))
        stack.enter_context(default_processor(folder, kafka, "processor")).wait_ready()
        env = environment(kafka, HOLDFAST_LEDGER__DSN=server.dsn("ledger"), HOLDFAST_ACTUATOR__WEB_PORT="0")
        actuator = Worker(folder / "actuator.log", "-m", "holdfast_consoles", "actuator", env=env)
        stack.callback(actuator.kill)
        actuator.wait_ready()
        rules = folder / "rules.json"
        rule = Trigger(id="stop", metric="error_rate", threshold=0.01, action="pause", window_seconds=5.0)
        rules.write_text(RuleSet(triggers=(rule,)).model_dump_json())
        argv = [sys.executable, "-m", "holdfast_consoles", "triggers", "apply", str(rules), "--reason", "a benchmark"]
        subprocess.run(argv, env=env, check=True, capture_output=True, timeout=90)
        yield kafka


def measure(stops: int, rounds: int) -> tuple[list[Comparison], list[str]]:
    """The two rows, and what stands beside them."""
    p50 = Comparison("tripping event → stopped, p50", "ms", "≤ 2")
    p99 = Comparison("tripping event → stopped, p99", "ms", "≤ 3")
    floors: list[float] = []
    with both_paths() as kafka:
        for _ in range(rounds):
            raw, own = sorted(peer(kafka, stops)), ours(kafka, stops)
            stopped = sorted(one["stop"] for one in own)
            floors += [one["floor"] for one in own]
            for row, q in ((p50, 0.5), (p99, 0.99)):
                row.ours.append(stopped[round(q * (stops - 1))])
                row.peer.append(raw[round(q * (stops - 1))])
    return [p50, p99], [
        f"before it, from the batch's end to its report: {spread(floors)} ms (two reports are 100 ms apart or more)",
        f"in it, the rest of the batch at hand: up to {BATCH_SECONDS * 1000:g} ms",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=20, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, beside_them = measure(options.stops, options.rounds)
    print(table(rows))
    print("\n".join(beside_them))
    write(options.json, rows)


if __name__ == "__main__":
    main()
