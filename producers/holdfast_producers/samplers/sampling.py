"""Sample, tell, wait: what every sampler shares. A sample that cannot be had is not sent: stale is an outcome of its own."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from holdfast_schemas.errors import SampleFailed

from ..health import HealthReporter

log = logging.getLogger("holdfast.sampler")


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures by name, and a response time where the sampler stands in for an application."""

    metrics: dict[str, float] = field(default_factory=dict)
    response_seconds: float | None = None


class Sampler(Protocol):
    """Takes one sample."""

    def sample(self) -> Sample:
        """The target's figures now. Raises SampleFailed, which says why there are none."""

    def close(self) -> None:
        """Let go of what it holds."""


def sample_for_ever(
    sampler: Sampler, health: HealthReporter, every_seconds: float, wait: Callable[[float], bool]
) -> None:
    """Sample each ``every_seconds`` until ``wait`` says to stop. A failure is logged when it begins, changes and ends."""
    failing: str | None = None
    due = time.monotonic()
    while True:
        try:
            taken = sampler.sample()
        except SampleFailed as why:
            if str(why) != failing:
                log.warning("no sample: %s", why)
            failing = str(why)
        else:
            if failing is not None:
                log.info("samples again")
                failing = None
            tell(taken, health)
        due = max(due + every_seconds, time.monotonic())
        if wait(max(0.0, due - time.monotonic())):
            return


def tell(taken: Sample, health: HealthReporter) -> None:
    """Hand one sample over."""
    if taken.response_seconds is not None:
        health.observe(taken.response_seconds)
    for name, value in taken.metrics.items():
        health.metric(name, value)
