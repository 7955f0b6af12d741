"""The processor's figures (docs/metrics.md), and whether it is ready."""

import time

from holdfast_schemas import exposition
from holdfast_schemas.exposition import labelled, plain

from .partitions import Partitions

READY_SECONDS = 5.0


class Figures:
    """Counts since the start; lag is the age of the newest Tick when its Watched went out."""

    def __init__(self) -> None:
        self.events_read = 0
        self.decisions = 0
        self.dead_letters = 0
        self.states_kept = 0
        self._lag: dict[int, float] = {}
        self._watched_at: dict[int, float] = {}

    def watched(self, partition: int, lag_seconds: float) -> None:
        """A Watched goes out for this partition."""
        self._lag[partition] = lag_seconds
        self._watched_at[partition] = time.monotonic()

    def kept(self, states: int) -> None:
        """States were written to the changelog."""
        self.states_kept += states

    def ready(self, owned: set[int], loaded: set[int]) -> str | None:
        """None when every owned partition is loaded and was watched lately, else what is missing."""
        if not owned:
            return "no partition is assigned yet"
        if owned - loaded:
            return f"loading partitions {sorted(owned - loaded)}"
        late = sorted(p for p in owned if time.monotonic() - self._watched_at.get(p, 0.0) > READY_SECONDS)
        return f"no Watched for partitions {late} in {READY_SECONDS:g} s" if late else None

    def text(self, partitions: Partitions) -> str:
        """The figures as /metrics shows them; of a partition that was not watched yet there is none."""
        name = "holdfast_processor_"
        owned = dict(partitions.owned)
        lag = {p: round(self._lag[p], 3) for p in owned if p in self._lag}
        behind_now = time.time() - time.monotonic()
        watched_at = {p: round(behind_now + self._watched_at[p], 3) for p in owned if p in self._watched_at}
        known = sum(len(one.state.migrations) for one in owned.values())
        loaded = len(partitions.ready & owned.keys())
        return exposition.text(
            [
                *exposition.of_the_process("processor"),
                plain(f"{name}events_read_total", "counter", "Records of holdfast.events judged.", self.events_read),
                plain(f"{name}decisions_total", "counter", "Decisions made.", self.decisions),
                plain(f"{name}dead_letters_total", "counter", "Records that could not be used.", self.dead_letters),
                plain(f"{name}states_kept_total", "counter", "States written to the changelog.", self.states_kept),
                plain(f"{name}partitions", "gauge", "Partitions of holdfast.events assigned.", len(owned)),
                plain(f"{name}partitions_loaded", "gauge", "Assigned partitions whose states are loaded.", loaded),
                plain(
                    f"{name}migrations", "gauge", "Migrations in the assigned partitions, closed ones for 8 d.", known
                ),
                plain(
                    f"{name}lag_seconds",
                    "gauge",
                    "The largest age that a partition's newest Tick had when it was judged.",
                    max(lag.values(), default=None),
                ),
                labelled(
                    f"{name}partition_lag_seconds",
                    "gauge",
                    "Age of the partition's newest Tick when it was judged.",
                    "partition",
                    lag,
                ),
                labelled(
                    f"{name}last_watched_timestamp_seconds",
                    "gauge",
                    "When the partition's newest Watched went out, in seconds since 1970.",
                    "partition",
                    watched_at,
                ),
            ]
        )
