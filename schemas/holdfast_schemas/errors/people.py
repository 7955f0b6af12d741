"""Answers to what a person asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from .tree import NoAcknowledgement, NotFound, Refused, Unusable


@dataclass
class UnknownMigration(NotFound):
    """No topic or ledger row knows this migration."""

    migration_id: str

    def __str__(self) -> str:
        return f"no migration {self.migration_id!r} is known; holdfast status lists those that are"


@dataclass
class DeadLetterMissing(NotFound):
    """No dead letter stands there."""

    places: Sequence[str]

    def __str__(self) -> str:
        return f"no dead letter {', '.join(self.places)} (nothing was sent); holdfast dead-letters list shows those that are"


@dataclass
class NotReplayed(Refused):
    """Some of the chosen dead letters cannot be used as they stand."""

    refused: int

    def __str__(self) -> str:
        return (
            f"{self.refused} dead letters were not sent again, for the reasons named; --force sends what cannot be read"
        )


@dataclass
class RequestRefused(Refused):
    """The ledger said no to a person's request."""

    kind: str
    subject: str
    outcome: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject} was {self.outcome}: {self.reason or 'no reason given'}"


@dataclass
class RequestUnanswered(NoAcknowledgement):
    """A person's request is in the log, and what it asks for was not confirmed in time."""

    kind: str
    subject: str
    request_id: str
    seconds: float
    heard: str
    """The newest outcome that was recorded, or an empty string."""

    def __str__(self) -> str:
        heard = f"so far it is {self.heard}" if self.heard else "nothing was recorded: is holdfast actuator running?"
        return f"{self.kind} of {self.subject} was not confirmed in {self.seconds:g} s; {heard} (request {self.request_id})"


@dataclass
class RulesNotInForce(NoAcknowledgement):
    """A rule set was accepted, and not every partition is judged by it yet."""

    rules_hash: str
    seconds: float
    partitions: Sequence[int]

    def __str__(self) -> str:
        pending = ", ".join(map(str, self.partitions))
        return (
            f"rules {self.rules_hash[:12]} were not in force everywhere in {self.seconds:g} s; still without them: "
            f"partitions {pending}; is holdfast processor running? holdfast triggers show lists them"
        )


@dataclass
class NotATerminal(Unusable):
    """A command that lives on a screen and its keys was started without a terminal."""

    command: str
    instead: str

    def __str__(self) -> str:
        return f"{self.command} needs a terminal for its screen and its keys; for a program or a pipe: {self.instead}"
