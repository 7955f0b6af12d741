"""Waiting in tests: for a condition, never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], deadline_seconds: float, what: str, every_seconds: float = 0.02) -> T:
    """Ask ``condition`` until it answers something true, and return that.

    Raises AssertionError, naming ``what``, after ``deadline_seconds``; an exception of the condition goes on up.
    """
    deadline = time.monotonic() + deadline_seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {deadline_seconds:g} s for {what}; the last answer was {answer!r}")
        time.sleep(every_seconds)
