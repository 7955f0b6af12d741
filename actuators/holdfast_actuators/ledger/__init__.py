"""The ledger is the queue: everything that must be finished is a row, so starting has no special path."""

from .door import AWAY, BROKEN, POISON, Ledger, Owed
from .load import Load
from .log_undos import LogUndo
from .notifications import Notification
from .rows import OutboxRow, RulesInForce

__all__ = [
    "AWAY", "BROKEN", "POISON", "Ledger", "Load", "LogUndo", "Notification", "OutboxRow", "Owed", "RulesInForce",
]  # fmt: skip
