"""How a service ends at SIGTERM or SIGINT: in order where it can, and in time whatever blocks.

What must be finished is in the log or in the ledger, so what is cut off is done again at the next start: nothing is lost
by ending, only by never ending, because a supervisor's SIGKILL would come then.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

log = logging.getLogger("holdfast.stopping")
SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT))
STOP_SECONDS = 8.0
"""A supervisor gives 10 s (docker) or more."""
LOOK_SECONDS = 0.1


class Stopping:
    """Make one as the first thing of a service, before it has threads. ``told`` is set when it shall end.

    A thread of its own waits for the signal, because Python's handlers run in the main thread only, and there only between
    two calls: one that blocks in librdkafka or libpq, or a client that waits for a broker that is away, would hold it up.
    Leaving the ``with`` gives the signals back: whatever the process does then, and starts, is as it was before.
    """

    def __init__(self, stop_seconds: float = STOP_SECONDS) -> None:
        self.told = threading.Event()
        self._stop_seconds = stop_seconds
        self._in_order: Callable[[], None] | None = None
        self._left = threading.Event()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._thread = threading.Thread(target=self._wait, name="stopping", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def began(self, in_order: Callable[[], None]) -> None:
        """From now on there is something to end in order: ``in_order`` asks for it, from the thread that heard the signal.

        Before this is called, the signal ends the process at once, with exit code 0.
        """
        self._in_order = in_order

    def end(self) -> None:
        """End the process now, as one that was told to."""
        logging.shutdown()
        os._exit(0)

    def _wait(self) -> None:
        # Not sigtimedwait: a process that was stopped and continued gets a signal from it that nobody sent.
        while not (pending := signal.sigpending() & SIGNALS):
            if self._left.wait(LOOK_SECONDS):
                return
        log.info("told to stop by %s", signal.Signals(signal.sigwait(pending)).name)
        self.told.set()
        if (in_order := self._in_order) is None:
            self.end()
            return
        in_order()
        if self._left.wait(self._stop_seconds):
            return
        log.warning(
            "not ended in order after %g s: what was under way is done again at the next start", self._stop_seconds
        )
        self.end()
