"""Delivery in batches: one Faust message per partition and fetch, and a partition flows only once its state is loaded.

Faust's own loop handles each record by itself (131 µs where this takes 4), and its acknowledgements let commits pass held
messages; so the topic has ``acks=False`` and positions are ours (durability.keep).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage

FETCH_WAIT_MS = 500
IN_PROCESS_FETCH_WAIT_MS = 10
"""librdkafka's in-process broker answers only when the wait is over, so it must be short there."""
IDLE_SECONDS = 0.05


class Bytes(faust.Schema):  # type: ignore[misc]
    """No decoding here: a decode error inside Faust ends the agent silently."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def batch_transport(topic: str, flows: Callable[[int], bool], fetch_wait_ms: int) -> type[driver.Transport]:
    """Faust's aiokafka transport, delivering ``topic`` in batches; ``flows`` says whether a partition's state is there."""

    class Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = fetch_wait_ms  # hard-coded to 1500 in the driver
            return consumer

    class Consumer(driver.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        async def _seek(self, partition: Any, offset: int) -> None:
            # Faust seeks from this thread, and takes the records away that the consumer's thread is just looking at.
            await self._thread.call_thread(self._thread.seek, partition, offset)

        def resume_partitions(self, tps: Any) -> None:
            super().resume_partitions({tp for tp in tps if tp.topic != topic or flows(tp.partition)})

        async def getmany(self, timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109 - the signature is Faust's
            if self.flow_active and not self._get_active_partitions():  # Faust would sleep a whole second here
                await asyncio.sleep(IDLE_SECONDS)
                return
            records, active = await self._wait_next_records(timeout)
            generation = self.app.consumer_generation_id
            if records is None or self.should_stop:
                return
            if not self.flow_active:
                await self.perform_seek()
                return
            for tp, batch in records.items():
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                if tp in active or tp in self._buffered_partitions:
                    self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                    yield tp, _message(tp, batch, generation)

    class BatchTransport(driver.Transport):  # type: ignore[misc]
        pass

    BatchTransport.Consumer = Consumer
    return BatchTransport


def _message(tp: Any, batch: list[Any], generation: int) -> Any:
    """A whole fetch of one partition as one message, whose offset is that of its last record."""
    last = batch[-1]
    return ConsumerMessage(
        tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type, (), None, batch, None, 0, 0, tp,
        generation_id=generation,
    )  # fmt: skip
