"""Decide, keep, commit: what makes a judgement durable, in the one order that loses nothing.

``decide``: everything decided so far goes out as one group, again and again. ``keep``, partition by partition: touched keys,
the position and a copy of the partition's record are taken together; states are written in slices, each only once every
decision made before it was encoded is durable; the copy last; then the position is committed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast_schemas.record import Record, from_milliseconds, now
from holdfast_schemas.settings import ProcessorSettings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import Headers, encode
from holdfast_schemas.watches import Watched

from ..engine import keeping
from ..engine.state import PARTITION_KEY, TARGET_PREFIX, Migration, Target
from .figures import Figures
from .partitions import Owned, Partitions
from .recovery import packed

log = logging.getLogger("holdfast.processor")
SLICE_STATES = 200
REWRITE_AFTER_SECONDS = 60.0
SOURCE = "holdfast/processor"
"""The CloudEvents source: no worker's name, so that a repeat is byte-identical, headers too."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record on its way: to the same partition that it was judged from."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class WatchedDraft:
    """A Tick was read; its Watched goes out once the decisions up to it are acknowledged."""

    partition: int
    tick_offset: int
    tick_ms: int


class Durability:
    """What was decided and is not yet acknowledged, what was touched and is not yet kept."""

    def __init__(
        self,
        settings: ProcessorSettings,
        prefix: str,
        partitions: Partitions,
        figures: Figures,
        commit: Callable[[dict[int, int]], Any],
    ) -> None:
        self._settings = settings
        self._prefix = prefix
        self._partitions = partitions
        self._figures = figures
        self._commit = commit
        self._producer: Any = None
        self._group: list[Outgoing] = []
        self._watched: dict[int, WatchedDraft] = {}
        self._decided = 0
        self._durable = 0
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._settled = asyncio.Condition()
        self._flushing = False
        self._deciding = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._generation: Callable[[], int] = lambda: 0

    def start(self, producer: Any, generation: Callable[[], int]) -> None:
        """Give it its producer, and how to know that an assignment is still current."""
        self._producer, self._generation = producer, generation

    # what the agent says

    def decided(self, topic: topics.Topic[Any], partition: int, record: Record) -> None:
        """A decision, or figures, that must go out before the state that includes them is kept."""
        encoded = encode(record, source=SOURCE)
        self.outgoing(Outgoing(topic.full_name(self._prefix), partition, encoded.key, encoded.value, encoded.headers))

    def outgoing(self, record: Outgoing) -> None:
        """A record that must go out, with the next group."""
        self._group.append(record)
        self._decided += 1
        self._news.set()

    def ticked(self, draft: WatchedDraft) -> None:
        """A Tick was read: a Watched is due."""
        self._watched[draft.partition] = draft  # behind a backlog of Ticks only the newest says something
        self._news.set()

    def touched(self, owned: Owned, keys: set[str], urgent: set[str]) -> None:
        """States that changed; urgent ones are kept at once."""
        owned.touched |= keys
        if urgent:
            owned.urgent |= urgent
            self._urgent.set()

    # decide

    async def decide_for_ever(self) -> None:
        """Send what was decided, group after group."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.decide_once()

    async def decide_once(self) -> None:
        """One group: sent, acknowledged, then the Watched of the Ticks that it includes."""
        async with self._deciding:
            group, self._group = self._group, []
            watched, self._watched = self._watched, {}
            mark = self._decided
            decisions = topics.decisions.full_name(self._prefix)
            for record, sent in zip(group, await self._send(group), strict=True):
                owned = self._partitions.owned.get(record.partition)
                if record.topic == decisions and owned is not None:
                    owned.decisions_end = max(owned.decisions_end, sent.offset + 1)
            async with self._settled:
                self._durable = max(self._durable, mark)
                self._settled.notify_all()
            await self._send([w for draft in watched.values() if (w := self._watch(draft)) is not None])

    async def send_now(self, records: list[Outgoing]) -> None:
        """Send and wait for the acknowledgements, beside the groups."""
        await self._send(records)

    async def _send(self, records: list[Outgoing]) -> list[Any]:
        futures = [
            await self._producer.send(r.topic, value=r.value, key=r.key, partition=r.partition, headers=r.headers)
            for r in records
        ]
        return list(await asyncio.gather(*futures))

    def _watch(self, draft: WatchedDraft) -> Outgoing | None:
        owned = self._partitions.owned.get(draft.partition)
        if owned is None or owned.state.log_id is None or draft.partition not in self._partitions.ready:
            return None
        lag = max(0.0, time.time() - draft.tick_ms / 1000)
        self._figures.watched(draft.partition, lag)
        record = Watched(
            partition=draft.partition,
            log_id=owned.state.log_id,
            tick_offset=draft.tick_offset,
            tick_at=from_milliseconds(draft.tick_ms),
            decisions_end=owned.decisions_end,
            rules_version=owned.state.rules_version,
            rules_hash=owned.state.rules_hash,
            lag_seconds=lag,
            fresh_targets=owned.state.fresh_targets(),
            occurred_at=now(),
        )
        encoded = encode(record, source=SOURCE)
        topic = topics.watches.full_name(self._prefix)
        return Outgoing(topic, draft.partition, encoded.key, encoded.value, encoded.headers)

    # keep

    async def keep_for_ever(self) -> None:
        """Keep urgent states at once, all that was touched every ``keep_seconds``."""
        whole_at = time.monotonic() + self._settings.keep_seconds
        while True:
            left = whole_at - time.monotonic()
            if left <= 0:  # asked first: urgent states without end must not put the others off
                whole_at = time.monotonic() + self._settings.keep_seconds
                await self.keep_once()
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), left)
            if self._urgent.is_set():
                self._urgent.clear()
                await self.keep_once(urgent_only=True)

    async def keep_once(self, *, urgent_only: bool = False) -> None:
        """Keep every ready partition; a pass is given up when the assignment moved on."""
        async with self._keeping:
            generation, positions = self._generation(), dict[int, int]()
            for partition in sorted(self._partitions.ready):
                owned = self._partitions.owned.get(partition)
                if owned is None or not self._current(partition, generation):
                    return
                # New rules are the partition's own state, and that goes out last, after all that was touched before it.
                if urgent_only and PARTITION_KEY not in owned.urgent:
                    kept = await self._keep_urgent(owned, generation)
                else:
                    kept = await self._keep_partition(owned, generation, positions)
                if not kept:
                    return
            if positions and generation == self._generation() and await self._commit(positions):
                for partition, position in positions.items():
                    if partition in self._partitions.owned:
                        self._partitions.owned[partition].committed = position

    async def _keep_urgent(self, owned: Owned, generation: int) -> bool:
        """Write the urgent states alone; the partition's record and position follow with the next whole pass."""
        keys, owned.urgent = owned.urgent, set()
        owned.touched -= keys
        return await self._write(owned, keys, generation)

    async def _keep_partition(self, owned: Owned, generation: int, positions: dict[int, int]) -> bool:
        """Write what was touched, then the partition's record as it was when they were taken; note the position."""
        partition, position = owned.state.partition, owned.state.position
        self._rewrite_recovered(owned)
        if not owned.state.started or (not owned.touched and owned.committed == position):
            return True
        keys, owned.touched, owned.urgent = owned.touched - {PARTITION_KEY}, set(), set()
        copy, mark = packed(*self._encoded(owned, PARTITION_KEY)), self._decided
        if not await self._write(owned, keys, generation):
            return False
        await self._wait_durable(mark)
        if not self._current(partition, generation):
            return False
        await self._write_records(owned, [(PARTITION_KEY, *copy)])
        positions[partition] = position
        return True

    def _rewrite_recovered(self, owned: Owned) -> None:
        if owned.recovered and time.monotonic() - owned.loaded_at > REWRITE_AFTER_SECONDS:
            owned.touched |= owned.recovered
            owned.recovered = set()

    def _encoded(self, owned: Owned, key: str) -> tuple[int, bytes | None]:
        # A state that was kept beyond the position is of its own, higher offset until the replay has passed it.
        known: Migration | Target | None = owned.state.migrations.get(key)
        if key.startswith(TARGET_PREFIX):
            known = owned.state.targets.get(key.removeprefix(TARGET_PREFIX))
        offset = keeping.offset_of(owned.state, key)
        return offset if known is None else max(offset, known.offset), keeping.encode(owned.state, key)

    def _current(self, partition: int, generation: int) -> bool:
        return generation == self._generation() and partition in self._partitions.ready

    async def _wait_durable(self, mark: int) -> None:
        async with self._settled:
            await self._settled.wait_for(lambda: self._durable >= mark)

    async def _write(self, owned: Owned, keys: set[str], generation: int) -> bool:
        """Write states slice by slice; False when the assignment moved on, and the keys not written are touched again."""
        left = sorted(keys)
        while left:
            part = left[:SLICE_STATES]
            states = [(key, *packed(*self._encoded(owned, key))) for key in part]
            await self._wait_durable(self._decided)
            if not self._current(owned.state.partition, generation):
                owned.touched.update(left)
                return False
            await self._write_records(owned, states)
            left = left[SLICE_STATES:]
            if not self._flushing:
                await asyncio.sleep(len(part) / self._settings.keep_states_per_second)
        return True

    async def _write_records(self, owned: Owned, states: list[tuple[str, bytes | None, Headers]]) -> None:
        topic = f"{self._prefix}.{topics.CHANGELOG}"
        sent = await self._send(
            [Outgoing(topic, owned.state.partition, key.encode(), value, headers) for key, value, headers in states]
        )
        for metadata in sorted(sent, key=lambda m: m.offset):
            owned.wrote(metadata.offset)
        self._figures.kept(len(states))

    async def flush(self) -> None:
        """Everything decided and touched is durable when this returns."""
        self._flushing = True
        try:
            await self.decide_once()
            await self.keep_once()
        finally:
            self._flushing = False
