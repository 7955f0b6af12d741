"""`holdfast actuator` that SIGKILLs itself: ``python -m tests.kills.dying_actuator POINT NTH`` dies when it passes a point again.

Each point is a place between two steps whose order the protocol rests on; the product has no hook for it.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from holdfast_actuators.intake import Intake
from holdfast_actuators.ledger import attendance, causes, deadlines
from holdfast_actuators.ledger.door import Ledger, Owed
from holdfast_actuators.relay import Relay
from holdfast_schemas.transport.publish import Publisher

POINTS: dict[str, tuple[Any, str, str]] = {
    "decision read, ledger untouched": (Ledger, "decide", "before"),
    "decision written, not committed": (causes, "decide", "after"),
    "decision committed, offset not": (Ledger, "decide", "after"),
    "request written, not committed": (causes, "request", "after"),
    "request committed, offset not": (Ledger, "request", "after"),
    "acknowledgement written, not committed": (attendance, "heard", "after"),
    "acknowledgement committed, offset not": (Ledger, "run_record", "after"),
    "outbox not read yet": (Relay, "send_once", "before"),
    "outbox queued, not sent": (Publisher, "flush", "before"),
    "outbox sent, not deleted": (Owed, "sent", "before"),
    "outbox deleted, not committed": (Owed, "sent", "after"),
    "before the beat": (Ledger, "beat", "before"),
    "after the beat's write": (Ledger, "beat", "after"),
    "deadline written, not committed": (deadlines, "check", "after"),
    "partition assigned, not prepared": (Intake, "_prepare", "before"),
    "partition prepared": (Intake, "_prepare", "after"),
}
QUEUED = "outbox queued, not sent"
RULES_TOLD = "rules told to some partitions"
"""Passed once for each partition that the relay tells the rules to."""


FREEZE_VARIABLE = "HOLDFAST_TEST_FREEZE"
"""Set: SIGSTOP, once, in place of SIGKILL."""


def end() -> None:
    """Die here, or stand still until somebody sends SIGCONT."""
    frozen = os.environ.pop(FREEZE_VARIABLE, None)
    os.kill(os.getpid(), signal.SIGKILL if frozen is None else signal.SIGSTOP)


def tells_rules(*arguments: Any) -> bool:
    return any(isinstance(argument, bytes) and b'"TriggersApplied"' in argument for argument in arguments)


def lingering() -> None:
    """Let the client keep what is published until the flush: else it is on the wire before the process stands still."""
    original = Publisher.__init__
    Publisher.__init__ = functools.partialmethod(original, **{"linger.ms": 3_000})  # type: ignore[method-assign, assignment]


def die_at(point: str, nth: int) -> None:
    """Replace the point's function by one that kills this process at the n-th call."""
    owner, name, when = (Publisher, "publish_bytes", "after") if point == RULES_TOLD else POINTS[point]
    if point == QUEUED:
        lingering()
    counts: Callable[..., bool] = tells_rules if point == RULES_TOLD else lambda *_: True
    original: Callable[..., Any] = getattr(owner, name)
    passed = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal passed
        if not counts(*arguments):
            return original(*arguments, **named)
        passed += 1
        if when == "before" and passed == nth:
            end()
        result = original(*arguments, **named)
        if when == "after" and passed == nth:
            if point == RULES_TOLD:
                arguments[0].flush()  # so many of them are in the log, and the others are not
            end()
        return result

    setattr(owner, name, dying)


if __name__ == "__main__":
    from holdfast_consoles.cli.main import main

    die_at(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["holdfast", "actuator"]
    sys.exit(main())
