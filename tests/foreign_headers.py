"""Sends a record with a header whose name is not UTF-8: ``python -m tests.foreign_headers SERVERS TOPIC PARTITION KEY [VALUE]``.

A process of its own, because only aiokafka without its extensions lets the bytes through.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from holdfast_schemas.transport.security import KafkaSettings

NAME = b"trace\xff\xfe"


class Foreign(str):
    """A header's name that becomes NAME on the wire."""

    def encode(self, *_: object) -> bytes:
        return NAME


def send(kafka: KafkaSettings, topic: str, partition: int, key: str, value: str | None) -> None:
    """Deliver one such record; no value is a tombstone."""
    words = [kafka.bootstrap_servers, topic, str(partition), key, *([] if value is None else [value])]
    subprocess.run(
        [sys.executable, "-m", "tests.foreign_headers", *words],
        env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"}, cwd=Path(__file__).parents[1], check=True, timeout=60,
    )  # fmt: skip


async def _send(servers: str, topic: str, partition: str, key: str, value: str | None = None) -> None:
    import aiokafka

    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    content = None if value is None else value.encode()
    await producer.send_and_wait(topic, content, key.encode(), int(partition), headers=[(Foreign(), b"7")])
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(_send(*sys.argv[1:]))
