"""Five figures of the processor, in Prometheus' text format, and whether it is ready."""

import time
from collections.abc import Callable

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

    def text(self, owned: Callable[[], set[int]]) -> str:
        """The figures as /metrics shows them."""
        lag = max((self._lag.get(p, 0.0) for p in owned()), default=0.0)
        rows = [
            ("holdfast_processor_events_read_total", "counter", "Records of holdfast.events judged.", self.events_read),
            ("holdfast_processor_decisions_total", "counter", "Decisions made.", self.decisions),
            ("holdfast_processor_dead_letters_total", "counter", "Records that could not be used.", self.dead_letters),
            ("holdfast_processor_states_kept_total", "counter", "States written to the changelog.", self.states_kept),
            (
                "holdfast_processor_lag_seconds",
                "gauge",
                "Age of the oldest newest Tick when it was read.",
                round(lag, 3),
            ),
        ]
        return "".join(f"# HELP {n} {h}\n# TYPE {n} {t}\n{n} {v}\n" for n, t, h, v in rows)
