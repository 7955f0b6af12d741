"""The start gate (protocol 7, 12): a guarded run begins when the ledger grants it and the guard's lease is there."""

import logging
import time
from collections.abc import Callable

from holdfast_schemas.desired_state import Answer, DesiredState
from holdfast_schemas.errors import GuardUnavailable, HoldfastError, RollbackRequested, RunAlreadyLive, RunRefused

from .guard import Guard

log = logging.getLogger("holdfast.producers")


class Patience:
    """``start_timeout`` seconds, which an answer of the ledger's starts anew."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        self._until = time.monotonic() + self.seconds

    @property
    def left_seconds(self) -> float:
        return self._until - time.monotonic()


def pass_start_gate(guard: Guard, migration_id: str, start_timeout_seconds: float) -> DesiredState:
    """Wait for the ledger's answer, then for the first lease. Returns the state that was granted.

    Raises RunRefused, RunAlreadyLive, RollbackRequested (an older run's undo is owed) or GuardUnavailable.
    """
    patience = Patience(start_timeout_seconds)
    with guard.changed:
        while True:
            _wait(guard, migration_id, patience, lambda: guard.answer is not None, _no_answer)
            state, answer = guard.answered()
            if answer.result == "granted":
                break
            reason = answer.reason or state.reason
            if answer.result != "waiting":
                raise refusal(state, answer, migration_id)
            log.warning("%s waits to be granted: %s", migration_id, reason)
            patience.restart()
    wait_for_guard(guard, migration_id, patience)
    return state


def wait_for_guard(guard: Guard, migration_id: str, patience: Patience) -> None:
    """Wait until control is read to its end and the first lease is there. Raises GuardUnavailable."""
    with guard.changed:
        _wait(guard, migration_id, patience, lambda: ready(guard), lambda g: g.missing_link())


def ready(guard: Guard) -> bool:
    """Whether the loop round the worker was complete once; the caller holds the lock."""
    return guard.at_end and (not guard.needs_lease or guard.lease.held(time.monotonic()))


def refusal(state: DesiredState, answer: Answer, migration_id: str) -> HoldfastError:
    """The error that a refusing answer stands for."""
    reason = answer.reason or state.reason
    match answer.result:
        case "already_live":
            return RunAlreadyLive(migration_id, reason)
        case "rollback":
            return RollbackRequested(migration_id, state.run_id, state.undo_token, reason)
        case _:
            return RunRefused(migration_id, reason)


def _wait(
    guard: Guard, migration_id: str, patience: Patience, until: Callable[[], bool], missing: Callable[[Guard], str]
) -> None:
    while not until():
        if patience.left_seconds <= 0:
            raise GuardUnavailable(migration_id, patience.seconds, missing(guard))
        guard.changed.wait(min(patience.left_seconds, 1.0))


def _no_answer(guard: Guard) -> str:
    if guard.unreachable is not None:
        return guard.unreachable
    if guard.lease.refusal is not None:
        return guard.lease.refusal
    beats = "though its beats arrive" if guard.lease.seen else f"and {guard.missing_link()}"
    return f"the ledger has not answered the request to run, {beats}"
