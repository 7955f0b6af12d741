"""Sample, tell, wait: what every sampler shares. A sample that cannot be had is not sent: stale is an outcome of its own."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from holdfast_schemas.errors import SampleFailed

from ..health import HealthReporter

log = logging.getLogger("holdfast.sampler")
LONGEST_BACK_OFF_SECONDS = 8.0
"""Well below the time after which a signal counts as stale: a target that is back is seen in time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures by name, and a response time where the sampler stands in for an application."""

    metrics: dict[str, float] = field(default_factory=dict)
    response_seconds: float | None = None


class Sampler(Protocol):
    """Takes one sample."""

    def sample(self) -> Sample:
        """The target's figures now. Raises SampleFailed, which says why there are none."""

    def stop(self) -> None:
        """Called from another thread: end what is under way where it may take long."""

    def close(self) -> None:
        """Let go of what it holds."""


def sample_for_ever(
    sampler: Sampler, health: HealthReporter, every_seconds: float, wait: Callable[[float], bool]
) -> None:
    """Sample each ``every_seconds`` until ``wait`` says to stop; after failures twice as late each time, within bounds.

    A failure is logged when it begins, changes and ends.
    """
    failing: str | None = None
    pause_seconds = every_seconds
    due = time.monotonic()
    while True:
        try:
            taken = sampler.sample()
        except SampleFailed as why:
            if str(why) != failing:
                log.warning("no sample: %s", why)
            failing = str(why)
            pause_seconds = max(every_seconds, min(2 * pause_seconds, LONGEST_BACK_OFF_SECONDS))
        else:
            pause_seconds = every_seconds
            if failing is not None:
                log.info("samples again")
                failing = None
            tell(taken, health)
        due = max(due + pause_seconds, time.monotonic())
        if wait(max(0.0, due - time.monotonic())):
            return


def tell(taken: Sample, health: HealthReporter) -> None:
    """Hand one sample over."""
    if taken.response_seconds is not None:
        health.observe(taken.response_seconds)
    for name, value in taken.metrics.items():
        health.metric(name, value)
