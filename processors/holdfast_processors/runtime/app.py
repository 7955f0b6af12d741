"""The Faust app: membership, assignment, delivery and the worker are Faust's; the judgement, the store and commits are ours."""

import asyncio
import contextlib
import logging
from typing import Any

import aiokafka
import faust
from faust.types import TP

from holdfast_schemas.errors import HoldfastError, LogRecreated
from holdfast_schemas.identity import new_id
from holdfast_schemas.settings import Settings
from holdfast_schemas.stopping import Stopping
from holdfast_schemas.transport import topics

from ..engine.engine import step
from ..engine.records import LogRecord
from . import web
from .dead_letters import dead_letter
from .delivery import FETCH_WAIT_MS, IN_PROCESS_FETCH_WAIT_MS, Bytes, batch_transport
from .durability import Durability, WatchedDraft
from .fencing import Membership, fatal
from .figures import Figures
from .header_names import read_any
from .partition_counts import refuse_other_counts
from .partitions import Owned, Partitions
from .recovery import Loader
from .ticks import tick_for_ever, ticks, unread

log = logging.getLogger("holdfast.processor")
FLUSH_SECONDS = 5.0
STOP_SECONDS = 2.0
CHUNK_RECORDS = 500
"""Records judged before the event loop gets a turn: heartbeats and sends go on under a backlog."""


class Processor:
    """One worker. ``app`` is the Faust app to run; everything else hangs on its signals."""

    def __init__(self, settings: Settings, stopping: Stopping) -> None:
        self._settings = settings
        prefix = settings.kafka.topic_prefix
        self._events, self._changelog = topics.events.full_name(prefix), f"{prefix}.{topics.CHANGELOG}"
        self.partitions = Partitions()
        self.figures = Figures()
        self.durability = Durability(settings.processor, prefix, self.partitions, self.figures, self._commit)
        self._membership = Membership(settings.processor.session_timeout_seconds, stopping)
        self._loader = Loader(
            settings.kafka,
            self._events,
            self._changelog,
            topics.decisions.full_name(prefix),
            self.partitions,
        )
        self._loading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._producer: Any = None
        self._web: Any = None
        read_any()
        self.app = self._make_app()

    def _make_app(self) -> Any:
        processor, kafka = self._settings.processor, self._settings.kafka
        app = faust.App(
            f"{kafka.topic_prefix}-processor",
            broker=f"kafka://{kafka.bootstrap_servers}".replace(",", ";kafka://"),
            broker_credentials=_credentials(kafka),
            store="memory://",
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=1,  # selects the sticky assignor; there is no table
            value_serializer="raw",
            key_serializer="raw",
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=processor.group_instance_id,
            broker_session_timeout=processor.session_timeout_seconds,
            broker_heartbeat_interval=processor.heartbeat_seconds,
            broker_max_poll_records=2000,
            broker_commit_interval=1.0,
            stream_buffer_maxsize=64,  # counts batches
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            web_enabled=False,
            worker_redirect_stdouts=False,
            # The assignor tells members apart by it, and asserts that an identity keeps it.
            canonical_url=f"http://{processor.group_instance_id or new_name()}:1",
        )
        app._create_directories = lambda: None  # nothing is kept on disk, and a SIGKILL would leave them behind
        wait_ms = IN_PROCESS_FETCH_WAIT_MS if kafka.allow_unstamped else FETCH_WAIT_MS
        app.transport = batch_transport(self._events, self.partitions.flows, wait_ms)(app.conf.broker_consumer, app)
        app.agent(app.topic(self._events, schema=Bytes(), acks=False))(self._judge)
        app.on_rebalance_complete.connect(self._assigned, weak=False)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        app.on_before_shutdown.connect(self._before_shutdown, weak=False)
        app.task(self._start)
        return app

    # the hot path

    async def _judge(self, stream: Any) -> None:
        """Each fetch of a partition, record by record through the engine."""
        async for event in stream.events():
            message = event.message
            try:
                await self._batch(message.partition, message.value, message.generation_id)
            except LogRecreated as error:
                fatal(str(error))
            except Exception:
                # Faust would acknowledge what raised: a bug must end the process, not lose an event.
                log.exception("a bug in judging partition %d", message.partition)
                fatal("a bug in judging")

    async def _batch(self, partition: int, batch: list[Any], generation: int) -> None:
        for at in range(0, len(batch), CHUNK_RECORDS):
            owned = self.partitions.owned.get(partition)
            if owned is None or partition not in self.partitions.ready or generation != self.app.consumer_generation_id:
                return  # another's by now, or to be loaded anew: its new owner reads it again
            if at == 0 and not await self._follows(partition, owned, batch[0].offset):
                return
            for record in batch[at : at + CHUNK_RECORDS]:
                if record.offset >= owned.state.position:
                    self._record(
                        owned,
                        LogRecord(
                            partition, record.offset, record.timestamp, record.key, record.value, record.headers or ()
                        ),
                    )
            await asyncio.sleep(0)

    async def _follows(self, partition: int, owned: Owned, offset: int) -> bool:
        """A batch must begin at our position or before; one beyond it is a gap of the log, or a seek is owed.

        Raises LogRecreated when the log ends before our position.
        """
        position, tp = owned.state.position, TP(self._events, partition)
        if offset <= position:
            # Before our position is what is read again; a log that ends there is another one, made under a running worker.
            if offset < position and (end := self.app.consumer.highwater(tp)) is not None and end < position:
                raise LogRecreated(self._events, partition, position, end, self._changelog)
            owned.sought_from = None
            return True
        if owned.sought_from is not None and offset != owned.sought_from:
            return False  # fetched before the seek
        earliest = (await self.app.consumer.earliest_offsets(tp))[tp]
        if offset in (earliest, owned.sought_from):
            owned.sought_from = None
            if owned.state.started:
                why = "log_gap: offsets %d to %d are not in the log any more"
                log.warning(why, position, offset - 1, extra={"partition": partition})
            return True
        back = max(position, earliest)
        log.warning("seeking back to %d from %d", back, offset, extra={"partition": partition})
        owned.sought_from = offset
        await self.app.consumer.seek(tp, back)
        return False

    def _record(self, owned: Owned, record: LogRecord) -> None:
        output = step(owned.state, record)
        self.figures.events_read += 1
        for decision in output.decisions:
            self.figures.decisions += 1
            log.info(
                "%s: %s", decision.trigger_id, decision.verdict,
                extra={"migration_id": decision.migration_id, "run_id": decision.run_id, "decision_id": decision.decision_id},
            )  # fmt: skip
            self.durability.decided(topics.decisions, record.partition, decision)
        for metrics in output.metrics:
            self.durability.decided(topics.metrics, record.partition, metrics)
        if output.rejected is not None:
            self.figures.dead_letters += 1
            log.warning("dead letter from %d@%d: %s", record.partition, record.offset, output.rejected.reason)
            prefix = self._settings.kafka.topic_prefix
            self.durability.outgoing(dead_letter(prefix, self._events, record, output.rejected))
        self.durability.touched(owned, output.touched, output.urgent)
        if output.tick:
            self.durability.ticked(WatchedDraft(record.partition, record.offset, record.timestamp))

    # Faust's signals

    async def _start(self) -> None:
        kafka = self._settings.kafka
        self._producer = aiokafka.AIOKafkaProducer(
            **kafka.aiokafka(),
            acks="all",
            linger_ms=0,
            max_batch_size=524_288,
            request_timeout_ms=30_000,
            max_request_size=8 << 20,
        )
        await self._producer.start()
        self._membership.guard(self._producer)
        while self.app.consumer is None or self.app.consumer._thread._consumer is None:  # noqa: ASYNC110 - Faust tells nobody
            await asyncio.sleep(0.02)
        self._membership.follow(self.app.consumer._thread._consumer._coordinator)
        self.durability.start(self._producer, lambda: self.app.consumer_generation_id)
        web_settings = self._settings.processor
        self._web = await web.serve(
            web_settings.web_host, web_settings.web_port, self._not_ready, lambda: self.figures.text(self.partitions)
        )
        self._run(self.durability.decide_for_ever(), "decide")
        self._run(self.durability.keep_for_ever(), "keep")
        self._run(refuse_other_counts(self._producer.client, topics.all_topics(kafka.topic_prefix)), "partitions")
        self._run(tick_for_ever(web_settings.tick_seconds, self._tick), "ticks")

    async def _tick(self) -> None:
        if not self.app.rebalancing:
            for partition in unread(self.partitions):
                await self.app.consumer.seek(TP(self._events, partition), 0)
            await self.durability.send_now(ticks(self.partitions, self._settings.kafka.topic_prefix))

    def _run(self, job: Any, name: str) -> asyncio.Task[None]:
        """A task whose failure ends the process: Faust would go on without it."""
        task: asyncio.Task[None] = asyncio.ensure_future(job)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s failed", name, exc_info=error)
                fatal(f"{name} failed: {error if isinstance(error, HoldfastError) else repr(error)}")

        task.add_done_callback(done)
        return task

    async def _assigned(self, app: Any, **_: Any) -> None:
        self._membership.confirm()
        if self._loading is not None:
            self._loading.cancel()
        wanted = {tp.partition for tp in app.consumer.assignment() if tp.topic == self._events}
        generation = app.consumer_generation_id
        reader, ends = await self._loader.keep_or_drop(wanted)
        log.info("assigned %s, %d kept, %d to load", sorted(wanted), len(wanted) - len(ends), len(ends))

        def opened(partition: int) -> None:
            app.consumer.resume_partitions({TP(self._events, partition)})

        self._loading = self._run(
            self._loader.load(reader, ends, lambda: generation == app.consumer_generation_id, opened), "loading"
        )

    async def _revoked(self, app: Any, revoked: Any, **_: Any) -> None:
        # Heartbeats go on meanwhile: what is judged is made durable before another worker reads on.
        if self._loading is not None:
            self._loading.cancel()
        try:
            if self.partitions.ready and self._producer is not None:
                await self.durability.flush()
        except Exception:
            log.exception("what was judged could not be made durable")
            fatal("flush at revocation failed")
        self.partitions.close_all()

    async def _before_shutdown(self, app: Any, **_: Any) -> None:
        # The tasks that make things durable are ended last: cut off in a group, they would lose it.
        if self._loading is not None:
            self._loading.cancel()
        try:
            if self._producer is not None:
                await asyncio.wait_for(self.durability.flush(), FLUSH_SECONDS)
        except TimeoutError:
            log.error("not flushed in %g s: what is not durable is judged again at the next start", FLUSH_SECONDS)
        self.partitions.close_all()
        for task in list(self._tasks):
            task.cancel()
        if self._producer is not None:
            with contextlib.suppress(TimeoutError):  # the broker is away, as was just logged
                await asyncio.wait_for(self._producer.stop(), STOP_SECONDS)
        if self._web is not None:
            await self._web.cleanup()

    async def _commit(self, positions: dict[int, int]) -> bool:
        return bool(await self.app.consumer._commit({TP(self._events, p): offset for p, offset in positions.items()}))

    def _owned(self) -> set[int]:
        return set(self.partitions.owned)

    def _not_ready(self) -> str | None:
        return self.figures.ready(self._owned(), self.partitions.ready)


def new_name() -> str:
    """A host name of its own for each process (it is never resolved)."""
    return f"processor-{new_id()}"


def _credentials(kafka: Any) -> Any:
    """The security settings in Faust's words; None where there are none."""
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = kafka.aiokafka().get("ssl_context")
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        mechanism=kafka.sasl_mechanism,
        username=kafka.sasl_username,
        password=kafka.sasl_password and kafka.sasl_password.get_secret_value(),
        ssl_context=context,
    )
