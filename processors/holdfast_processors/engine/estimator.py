"""When the migration ends: rows left over the windowed pace of active time at several scales; their spread is the range.

Active time leaves pauses and stalls off the clock. The full estimator (work-domain knots, calibration) comes later.
"""

from holdfast_schemas.metrics import Estimate
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.triggers import WINDOW_PANES

from .panes import FAST_PANES, SLOW_PANES
from .rules import display_panes
from .state import Migration, PartitionState

ENOUGH_ACTIVE_MS = 3000
OVERDUE_ROWS = 1.0


def estimate(state: PartitionState, migration: Migration) -> Estimate:
    """The estimate at this moment of the log."""
    now = state.now or 0
    done = migration.total_of("rows_processed") + migration.rows_already_done
    if migration.finished is not None:
        return Estimate(state="done", expected=from_milliseconds(migration.finished_ms or now))
    total = migration.total_rows
    if total is None:
        return Estimate(state="unknown_total")
    if not migration.running(now, state.dead_after_ms):
        return Estimate(state="paused")
    if done > total:
        return Estimate(state="overdue", earliest=from_milliseconds(now))
    paces = _paces(state, migration)
    if migration.active_ms < ENOUGH_ACTIVE_MS or not paces:
        return Estimate(state="measuring")
    left, fast, slow = total - done, max(paces), min(paces)
    expected = left / (fast * slow) ** 0.5
    return Estimate(
        state="ready",
        earliest=from_milliseconds(now + round(left / fast)),
        expected=from_milliseconds(now + round(expected)),
        latest=from_milliseconds(now + round(left / slow)),
    )


def _paces(state: PartitionState, migration: Migration) -> list[float]:
    """Rows a millisecond of active time at each scale that has some: a sixth of the window, the window, five of it."""
    now, panes = state.now or 0, display_panes(state, migration)
    found = []
    for scale in (FAST_PANES, WINDOW_PANES, SLOW_PANES):
        total = panes.total(now, scale)
        if total.active_ms and total.rows:
            found.append(total.rows / total.active_ms)
    return found
