"""A Tick a second to each owned partition of holdfast.events: time that the engine reads from the log.

Duplicate ticks of a zombie are harmless; downtime shows as a gap between ticks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from holdfast_schemas.events import Tick
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode

from .durability import SOURCE, Outgoing
from .partitions import Partitions

UNREAD_SECONDS = 5.0


def ticks(partitions: Partitions, prefix: str) -> list[Outgoing]:
    """One Tick for each partition that is loaded. The log's first names it; until it is read back, the same name again.

    A log that held records when it was assigned may have its name in one that is not read yet: no Tick until then.
    """
    found = []
    for partition in sorted(partitions.ready):
        owned = partitions.owned[partition]
        if owned.state.log_id is None and owned.state.position < owned.events_end:
            continue
        encoded = encode(Tick(log_id=owned.state.log_id or owned.first_log_id, occurred_at=now()), source=SOURCE)
        found.append(Outgoing(topics.events.full_name(prefix), partition, encoded.key, encoded.value, encoded.headers))
    return found


def unread(partitions: Partitions) -> list[int]:
    """Partitions of which nothing came for a while after they were loaded, not even our own Tick.

    The group's commit stands at the end of the log, or beyond it, and no kept state covers it (the changelog was made anew):
    nothing is fetched, so nothing names the log. They are to be read from their beginning.
    """
    late = time.monotonic() - UNREAD_SECONDS
    owned = {p: partitions.owned[p] for p in sorted(partitions.ready)}
    return [p for p, o in owned.items() if not o.state.started and o.loaded_at < late]


async def tick_for_ever(seconds: float, send: Callable[[], Awaitable[None]]) -> None:
    """Call ``send`` every ``seconds``, however long it takes."""
    due = time.monotonic()
    while True:
        due = max(due + seconds, time.monotonic())
        await send()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
