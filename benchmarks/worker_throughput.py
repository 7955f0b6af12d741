"""How fast a processor works off a log: ``python -m benchmarks.worker_throughput [--events 200000] [--rounds 5]``.

Ours is `holdfast processor` with its defaults, all of its job: judged, states kept, figures published, positions committed.
The peer reads the same topic with aiokafka and orjson and does nothing with it. Each once without a latency sketch in the
reports and once with one. The log is written in a few seconds, so few figures are due: at most one a second of log time and
migration.
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
from confluent_kafka import Consumer, TopicPartition
from tests.runtime.workers import ROOT, environment
from tests.waiting import wait_for

from holdfast_schemas.identity import new_id
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings

from .preload import preload
from .rounds import Comparison, Measured, alternate, table, write
from .stage import create_topics, default_processor, kafka_and_folder

POLL_SECONDS = 0.1
READ = "holdfast_processor_events_read_total"
AIMS = {False: "≥ 0.35", True: "≥ 0.20"}


def peer(kafka: KafkaSettings, records: int) -> Measured:
    """Events a second, and microseconds of CPU an event, of the raw reader."""
    name = topics.events.full_name(kafka.topic_prefix)
    argv = [sys.executable, "-m", "benchmarks.raw_reader", kafka.bootstrap_servers, name, str(records)]
    done = subprocess.run(argv, env=environment(kafka), cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return {"events_per_second": records / found["seconds"], "cpu_us": found["cpu_seconds"] / records * 1e6}


def ours(kafka: KafkaSettings, folder: Path, records: int) -> Measured:
    """The same of a processor that starts on the whole log; its CPU until all of it is committed."""
    with default_processor(folder, kafka, f"processor-{new_id()[-6:]}") as worker:
        process = psutil.Process(worker.process.pid)
        wait_for(lambda: worker.figure(READ) > 0, 60, "the first records", POLL_SECONDS)
        began, cpu, first = time.monotonic(), cpu_seconds(process), worker.figure(READ)
        wait_for(lambda: worker.figure(READ) >= records, 300, "the last record", POLL_SECONDS)
        seconds = time.monotonic() - began
        wait_for(lambda: committed(kafka) >= records, 60, "every position to be committed", 0.5)
        spent = cpu_seconds(process) - cpu
        assert worker.stop() == 0, worker.log()[-3000:]
    judged = records - first
    return {"events_per_second": judged / seconds, "cpu_us": spent / judged * 1e6}


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process's own, user and system."""
    times = process.cpu_times()
    return float(times.user + times.system)


def committed(kafka: KafkaSettings) -> int:
    """Records of the log that the processors' group has committed."""
    name = topics.events.full_name(kafka.topic_prefix)
    consumer = Consumer({**kafka.librdkafka(), "group.id": f"{kafka.topic_prefix}-processor"})
    try:
        partitions = [TopicPartition(name, p) for p in range(topics.PARTITIONS)]
        return sum(max(0, one.offset) for one in consumer.committed(partitions, timeout=10))
    finally:
        consumer.close()


def measure(events: int, migrations: int, rounds: int) -> list[Comparison]:
    """Both kinds of reports, a topic of its own each round."""
    rows = []
    with kafka_and_folder() as (server, folder):
        for sketch in (False, True):
            with_sketch = "a sketch an event" if sketch else "no sketch"
            speed = Comparison(f"events/s, {with_sketch}", "", AIMS[sketch])
            cpu = Comparison(f"CPU an event, {with_sketch}", "µs", "")
            for _ in range(rounds):
                kafka = server.model_copy(update={"topic_prefix": f"bench-{new_id()[-8:]}"})
                create_topics(kafka)
                records = preload(kafka, migrations, events, sketch=sketch)
                peers, own = alternate(1, partial(peer, kafka, records), partial(ours, kafka, folder, records))
                for side, values in ((peers[0], "peer"), (own[0], "ours")):
                    getattr(speed, values).append(side["events_per_second"])
                    getattr(cpu, values).append(side["cpu_us"])
            rows += [speed, cpu]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--migrations", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.events, options.migrations, options.rounds)
    print(table(rows))
    write(options.json, rows)


if __name__ == "__main__":
    main()
