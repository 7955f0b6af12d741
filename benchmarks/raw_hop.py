"""One raw hop: ``python -m benchmarks.raw_hop BOOTSTRAP FROM TO [DSN]``: what has a header goes on, the rest is dropped.

With a DSN each record is first inserted into a table of that PostgreSQL, and its commit waited for (fsync).
"""

import sys

import psycopg
from confluent_kafka import Consumer, Producer

from holdfast_schemas.identity import new_id


def main(bootstrap_servers: str, source: str, target: str, dsn: str | None = None) -> None:
    """Pass records on until the process is ended."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": new_id(), "auto.offset.reset": "latest", "log_level": 0}
    )
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "linger.ms": 0, "log_level": 0})
    db = None if dsn is None else psycopg.connect(dsn, autocommit=True)
    if db is not None:
        db.execute("CREATE TABLE IF NOT EXISTS hop (value bytea)")
    consumer.subscribe([source], on_assign=lambda *_: print("ready", flush=True))
    while True:
        first = consumer.poll(0.5)
        for message in (first, *consumer.consume(500, 0)) if first is not None else ():
            if message.error() or not message.headers():
                continue
            if db is not None:
                db.execute("INSERT INTO hop VALUES (%s)", (message.value(),))
            producer.produce(target, message.value(), message.key(), headers=message.headers())
        producer.poll(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
