"""`holdfast processor` that SIGSTOPs itself once STOP_FILE is there: decisions are out, states are encoded and not sent."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from holdfast_processors import service
from holdfast_processors.runtime.durability import Durability
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport.topics import CHANGELOG

STOP_FILE = Path(os.environ["STOP_FILE"])
send = Durability._send


def stop_if_told() -> None:
    if STOP_FILE.exists():
        STOP_FILE.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


async def send_or_stop(self: Durability, records: list[Any]) -> list[Any]:
    if any(record.topic.endswith(CHANGELOG) for record in records):
        stop_if_told()
    return await send(self, records)


Durability._send = send_or_stop  # type: ignore[method-assign]
sys.exit(service.run(Settings.load()))
