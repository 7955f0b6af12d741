"""A broker that is slow to take a topic: produce requests that carry it wait, for a time or as long as a file exists."""

import asyncio
import os
from pathlib import Path
from typing import Any

from aiokafka.producer.sender import Sender

HOLD_TOPIC = "HOLD_TOPIC"
HOLD_FILE = "HOLD_FILE"
DELAY_SECONDS = "DELAY_SECONDS"


def hold() -> None:
    """Hold what HOLD_TOPIC names back, in this process, while HOLD_FILE is there; then each request for DELAY_SECONDS."""
    delay = float(os.environ.get(DELAY_SECONDS, "0"))
    topic, file = os.environ.get(HOLD_TOPIC), Path(os.environ.get(HOLD_FILE, "/nonexistent"))
    send = Sender._send_produce_req

    async def held(self: Any, node: Any, batches: Any) -> Any:
        while any(tp.topic == topic for tp in batches) and file.exists():  # noqa: ASYNC110, ASYNC240 - a test's switch
            await asyncio.sleep(0.02)
        if delay and any(tp.topic == topic for tp in batches):
            await asyncio.sleep(delay)
        return await send(self, node, batches)

    Sender._send_produce_req = held
