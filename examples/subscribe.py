"""Every decision as a line, in Python: ``python examples/subscribe.py [GROUP]``, settings as everywhere (HOLDFAST_KAFKA__...).

A restart goes on after the last decision that was printed.
"""

import asyncio
import contextlib
import signal
import sys

from holdfast import AsyncSubscription, topics


async def main(group: str = "decisions-printer") -> None:
    """Print until SIGINT or SIGTERM."""
    printing = asyncio.current_task()
    assert printing is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, printing.cancel)
    async with AsyncSubscription(topics.decisions, group=group) as decisions:
        async for received in decisions:
            decision = received.record
            line = (
                received.partition,
                received.offset,
                decision.migration_id,
                decision.action,
                decision.trigger_id,
                decision.verdict,
            )
            print(*line, sep="\t", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(*sys.argv[1:2]))
