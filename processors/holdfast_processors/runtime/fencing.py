"""A worker that was frozen past its session is a zombie: what it still holds must not be sent over its successor's.

Right before each produce request: the time since a heartbeat that the broker acknowledged. CLOCK_BOOTTIME goes on through
SIGSTOP and through a suspended machine. A generation check would not do: the zombie wakes up with the old one.
"""

import logging
import os
import time
from typing import Any

from holdfast_schemas.stopping import Stopping

log = logging.getLogger("holdfast.processor")
EXIT_CODE = 70
LEASE_SHARE = 0.7
"""Of the session timeout: past it, the broker may have given our partitions away."""


def boottime() -> float:
    """Seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def fatal(why: str) -> None:
    """End the process at once: a supervisor starts it anew, from what is durable."""
    log.critical("%s: exit %d", why, EXIT_CODE)
    logging.shutdown()
    os._exit(EXIT_CODE)


class Membership:
    """When the broker last confirmed that this worker is a member of its group."""

    def __init__(self, session_timeout_seconds: float, stopping: Stopping) -> None:
        self._limit_seconds = session_timeout_seconds * LEASE_SHARE
        self._confirmed: float | None = None
        self._stopping = stopping

    def confirm(self, at: float | None = None) -> None:
        """A heartbeat sent at ``at`` was acknowledged, or a rebalance has just ended."""
        self._confirmed = boottime() if at is None else at

    def check(self) -> None:
        """End the process when membership was not confirmed lately enough."""
        if self._confirmed is None:
            return
        age = boottime() - self._confirmed
        if age > self._limit_seconds and self._stopping.told.is_set():
            log.warning("no heartbeat acknowledged for %.1f s: what is not durable is judged again", age)
            self._stopping.end()
        if age > self._limit_seconds:
            fatal(f"no heartbeat acknowledged for {age:.1f} s: these partitions may be another worker's by now")

    def follow(self, coordinator: Any) -> None:
        """Hear of each heartbeat that aiokafka's group coordinator sends."""
        heartbeat = coordinator._do_heartbeat

        async def noted() -> Any:
            at = boottime()
            acknowledged = await heartbeat()
            if acknowledged:
                self.confirm(at)
            return acknowledged

        coordinator._do_heartbeat = noted

    def guard(self, producer: Any) -> None:
        """Check before each produce request of an aiokafka producer."""
        sender = producer._sender
        send = sender._send_produce_req

        async def checked(node: Any, batches: Any) -> Any:
            self.check()
            return await send(node, batches)

        sender._send_produce_req = checked
