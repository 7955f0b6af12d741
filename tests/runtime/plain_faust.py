"""What a user of Faust would write first, and what loses: ``CASE`` names the app, HANDLED the file of its results."""

import asyncio
import os
from pathlib import Path
from typing import Any

import faust

from tests.runtime.slow_broker import hold

CASE, TOPIC, HANDLED = os.environ["CASE"], os.environ["TOPIC"], Path(os.environ["HANDLED"])
hold()
app = faust.App(
    os.environ["GROUP"],
    broker="kafka://" + os.environ["BOOTSTRAP"],
    store="memory://",
    datadir=os.environ["DATADIR"],
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=float(os.environ.get("COMMIT_SECONDS", "0.2")),
    broker_session_timeout=6,
    broker_heartbeat_interval=1,
    stream_wait_empty=False,
)


def handled(what: Any) -> None:
    with HANDLED.open("a") as file:
        file.write(f"{what}\n")


raw = app.topic(TOPIC, value_serializer="raw", key_serializer="raw")

if CASE == "raises":

    @app.agent(raw)
    async def raises(stream: Any) -> None:
        async for value in stream:
            if value == b"boom":
                raise RuntimeError("a bug")
            handled(value.decode())

elif CASE == "decodes":

    @app.agent(app.topic(TOPIC, value_serializer="json", key_serializer="raw"))
    async def decodes(stream: Any) -> None:
        async for values in stream.take(10, within=0.2):
            for value in values:
                handled(value)

elif CASE == "sends":
    out = app.topic(os.environ["OUT"], value_serializer="raw", key_serializer="raw")

    @app.agent(raw)
    async def sends(stream: Any) -> None:
        async for value in stream:
            await out.send(key=b"k", value=b"x" * 5000)
            handled(value.decode())

elif CASE == "concurrent":

    @app.agent(raw, concurrency=2)
    async def concurrent(stream: Any) -> None:
        async for value in stream:
            while value == b"0" and Path(os.environ["HOLD_FILE"]).exists():  # noqa: ASYNC110, ASYNC240 - a test's switch
                await asyncio.sleep(0.05)
            handled(value.decode())

elif CASE == "counts":
    counts = app.Table("counts", default=int, partitions=1)

    @app.agent(raw)
    async def count(stream: Any) -> None:
        async for _ in stream:
            counts["all"] += 1
            handled(counts["all"])

elif CASE == "lists":
    values = app.Table("values", default=int, partitions=2)

    @app.agent(raw)
    async def keep(stream: Any) -> None:
        async for event in stream.events():
            values[event.key.decode()] = 1

    @app.timer(0.3)
    async def tell() -> None:
        owned = sorted(tp.partition for tp in app.consumer.assignment() if tp.topic == TOPIC)
        handled(f"{os.getpid()}:{','.join(map(str, owned))}:{','.join(sorted(values.keys()))}")


app.main()
