"""Load in a process of its own: ``python -m benchmarks.steady_load BOOTSTRAP TOPIC RATE MIGRATIONS``, until it is killed.

Reports of many migrations in turn, ``RATE`` a second, none of which a trigger acts on. SIGSTOP holds it, SIGCONT lets it go on.
"""

import sys
import time

import orjson
from confluent_kafka import Producer

from .preload import reports

STEP_SECONDS = 0.02


def main(bootstrap_servers: str, topic: str, rate: int, migrations: int) -> None:
    """Produce until the process is ended."""
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 1, "log_level": 0}
    )
    records = reports(migrations, 10**9, sketch=False)
    for _, (key, value) in zip(range(migrations), records, strict=False):  # each run's beginning
        producer.produce(topic, value, key)
    producer.flush(60)
    print(orjson.dumps({"began": True}).decode(), flush=True)
    due = time.monotonic()
    while True:
        for _ in range(round(rate * STEP_SECONDS)):
            key, value = next(records)
            producer.produce(topic, value, key)
        producer.poll(0)
        due = max(due + STEP_SECONDS, time.monotonic() - 1.0)  # after a SIGSTOP it goes on, and makes nothing up
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
