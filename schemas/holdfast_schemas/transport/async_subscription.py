"""The subscription for asyncio: the same, in one thread of its own, so that the event loop never waits for the broker."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from ..record import Record
from .reading import Received
from .security import KafkaSettings
from .starting import Start
from .subscription import SLICE_SECONDS, Subscription
from .topics import Topic

T = TypeVar("T", bound=Record)


class AsyncSubscription(Generic[T]):
    """``async with AsyncSubscription(topics.decisions, group="pager") as decisions: async for received in decisions: ...``

    Everything that Subscription says holds. A cancelled ``__anext__`` loses nothing: what it was waiting for is what the
    next one gets. One task may use it.
    """

    def __init__(
        self,
        topic: Topic[T],
        kafka: KafkaSettings | None = None,
        *,
        group: str | None = None,
        start: Start = "earliest",
        migration_id: str | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        self._subscription = Subscription(
            topic, kafka, group=group, start=start, migration_id=migration_id, idle_seconds=idle_seconds
        )
        self._thread: ThreadPoolExecutor | None = None
        self._asked: asyncio.Future[Received[T] | None] | None = None

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "holdfast-subscription")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._subscription.__enter__)
        except BaseException:
            self._thread.submit(
                self._subscription.__exit__, None, None, None
            )  # cancelled, it may still come to be open
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, self._thread, self._asked = self._thread, None, None
        if thread is not None:
            # Behind what may still be asked there: nothing of it is handed out any more, so nothing of it is committed.
            closed = asyncio.get_running_loop().run_in_executor(thread, self._subscription.__exit__, None, None, None)
            try:
                await asyncio.shield(closed)
            finally:
                thread.shutdown(wait=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received[T]:
        """The next record. Raises BrokerUnreachable when the client gives up."""
        while True:
            if self._thread is None:
                raise RuntimeError("use the subscription in an async with statement")
            if self._asked is None:
                loop = asyncio.get_running_loop()
                self._asked = loop.run_in_executor(self._thread, self._subscription.poll, SLICE_SECONDS)
            try:
                received = await asyncio.shield(self._asked)
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._asked = None
                raise
            self._asked = None
            if received is not None:
                return received
            if self._subscription.is_idle():
                raise StopAsyncIteration
