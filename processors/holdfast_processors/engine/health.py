"""Protocol 21: the health of targets. A sample updates the target's panes only; migrations are judged at the next Tick."""

from holdfast_schemas.events import HealthSampled

from .rules import prepare_target
from .state import PartitionState, Target

MANY_REPORTERS = 32
SILENT_MS = 3_600_000
MAX_METRICS = 200
"""Figures of a target that are remembered, of all its reporters."""


def sampled(state: PartitionState, event: HealthSampled) -> None:
    """Take one sample; (reporter_id, seq) drops repeats."""
    now = state.now or 0
    target = state.targets.get(event.target)
    if target is None:
        target = state.targets[event.target] = Target(event.target, now)
        prepare_target(state, target)
    if event.seq <= target.seqs.get(event.reporter_id, 0):
        return
    target.seqs[event.reporter_id], target.heard_ms[event.reporter_id] = event.seq, now
    _forget_reporters(target, now)
    target.sampled_ms = now
    if (
        event.response_time is not None
    ):  # an empty one says: the reporter lives, and nobody asked the application anything
        target.response_ms = now
        for panes in target.panes.values():
            panes.sample(now, event.response_time)
    for name in event.metrics:
        target.metrics_ms.pop(name, None)  # the newest stand last
        target.metrics_ms[name] = now
    for name in list(target.metrics_ms)[:-MAX_METRICS]:
        del target.metrics_ms[name]
    for panes in target.panes.values():
        panes.gauge(now, event.metrics)


def _forget_reporters(target: Target, now: int) -> None:
    """Each start of a reporter is a new one: let go of those that no repeat can come from any more."""
    if len(target.heard_ms) > MANY_REPORTERS:
        for silent in [i for i, heard_ms in target.heard_ms.items() if now - heard_ms > SILENT_MS]:
            del target.heard_ms[silent], target.seqs[silent]


def forget(state: PartitionState) -> None:
    """Let go of targets that have been silent for as long as a closed run is remembered."""
    oldest = (state.now or 0) - state.rules.judgement.stub_seconds * 1000
    for name in [t.name for t in state.targets.values() if t.sampled_ms < oldest]:
        del state.targets[name]
