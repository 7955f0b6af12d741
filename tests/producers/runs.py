"""A run on a sink in memory, for tests: entered, worked on in a thread, and what it said."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from holdfast import (
    MemorySink,
    Reporter,
    Run,
)
from holdfast_schemas.errors import HoldfastError
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.runs import EpochAcknowledged
from tests.producers.settings import quick


@contextmanager
def running(sink: MemorySink, **settings: Any) -> Iterator[Run]:
    with Reporter(quick(**settings), sink=sink).run("m", target="t", total_rows=100, can_undo=True) as run:
        yield run


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def catch() -> None:
        try:
            found.append(work())
        except HoldfastError as error:
            found.append(error)

    thread = threading.Thread(target=catch, daemon=True)
    thread.start()
    return thread, found


def acknowledged(sink: MemorySink) -> list[tuple[int, str]]:
    return [(record.epoch, record.state) for record in sink.of(EpochAcknowledged)]


def last(sink: MemorySink) -> ProgressReported:
    return sink.of(ProgressReported)[-1]
