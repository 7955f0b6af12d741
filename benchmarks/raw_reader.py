"""The peer of the worker: ``python -m benchmarks.raw_reader BOOTSTRAP TOPIC RECORDS``: aiokafka's getmany and orjson, no more.

Prints one JSON line: seconds of wall time and of CPU from the first fetch to the last record.
"""

import asyncio
import sys
import time

import aiokafka
import orjson


async def read(bootstrap_servers: str, topic: str, records: int) -> dict[str, float]:
    """Read ``records`` records from the beginning of every partition."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = await consumer._client._wait_on_metadata(topic)
        consumer.assign([aiokafka.TopicPartition(topic, partition) for partition in partitions])
        seen, began, cpu = 0, 0.0, 0.0
        while seen < records:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=2000)
            if not began and fetched:
                began, cpu = time.monotonic(), time.process_time()
            for batch in fetched.values():
                for record in batch:
                    orjson.loads(record.value)
                seen += len(batch)
        return {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
    finally:
        await consumer.stop()


if __name__ == "__main__":
    print(orjson.dumps(asyncio.run(read(sys.argv[1], sys.argv[2], int(sys.argv[3])))).decode())
