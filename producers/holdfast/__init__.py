"""What people type: ``from holdfast import Reporter``. Re-exports, nothing else."""

from holdfast_producers.health import HealthReporter
from holdfast_producers.joining import join
from holdfast_producers.reporter import Reporter
from holdfast_producers.run import Run
from holdfast_producers.testing import MemorySink
from holdfast_schemas.errors import (
    GuardUnavailable,
    HoldfastError,
    RollbackRequested,
    RunAlreadyLive,
    RunFenced,
    RunRefused,
    RunStopped,
)
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.async_subscription import AsyncSubscription
from holdfast_schemas.transport.collect import collect_metrics
from holdfast_schemas.transport.subscription import Subscription

__all__ = [
    "AsyncSubscription",
    "GuardUnavailable",
    "HealthReporter",
    "HoldfastError",
    "MemorySink",
    "Reporter",
    "RollbackRequested",
    "Run",
    "RunAlreadyLive",
    "RunFenced",
    "RunRefused",
    "RunStopped",
    "Settings",
    "Subscription",
    "collect_metrics",
    "join",
    "topics",
]
