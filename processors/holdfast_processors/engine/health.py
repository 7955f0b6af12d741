"""Protocol 21: the health of targets. A sample updates the target's panes only; migrations are judged at the next Tick."""

from holdfast_schemas.events import HealthSampled

from .rules import prepare_target
from .state import PartitionState, Target


def sampled(state: PartitionState, event: HealthSampled, offset: int) -> bool:
    """Take one sample; False when (reporter_id, seq) says that it is a repeat."""
    now = state.now or 0
    target = state.targets.get(event.target)
    if target is None:
        target = state.targets[event.target] = Target(event.target, offset, now)
        prepare_target(state, target)
    if event.seq <= target.seqs.get(event.reporter_id, 0):
        return False
    target.seqs[event.reporter_id] = event.seq
    target.sampled_ms, target.offset = now, offset
    if event.response_time is not None:
        for panes in target.panes.values():
            panes.sample(now, event.response_time.live())
    return True
