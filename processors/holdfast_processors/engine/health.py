"""Protocol 21: the health of targets. A sample updates the target's panes only; migrations are judged at the next Tick."""

from holdfast_schemas.events import HealthSampled

from .rules import prepare_target
from .state import PartitionState, Target


def sampled(state: PartitionState, event: HealthSampled) -> None:
    """Take one sample; (reporter_id, seq) drops repeats."""
    now = state.now or 0
    target = state.targets.get(event.target)
    if target is None:
        target = state.targets[event.target] = Target(event.target, now)
        prepare_target(state, target)
    if event.seq <= target.seqs.get(event.reporter_id, 0):
        return
    target.seqs[event.reporter_id] = event.seq
    target.sampled_ms = now
    if event.response_time is not None:
        for panes in target.panes.values():
            panes.sample(now, event.response_time.live())


def forget(state: PartitionState) -> None:
    """Let go of targets that have been silent for as long as a closed run is remembered."""
    oldest = (state.now or 0) - state.rules.judgement.stub_seconds * 1000
    for name in [t.name for t in state.targets.values() if t.sampled_ms < oldest]:
        del state.targets[name]
