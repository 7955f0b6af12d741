"""Records whose bytes cannot be read as what their topic carries: they go to the dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from .tree import HoldfastError


class Undecodable(HoldfastError):
    """A record's bytes cannot be read as its topic's contract. Goes byte for byte to the dead letters.

    Its text quotes what was found there; a log names the ``reason`` only.
    """

    reason: str = "undecodable"


@dataclass
class Garbage(Undecodable):
    """Not JSON, or not an object."""

    detail: str
    reason = "not-json"

    def __str__(self) -> str:
        return f"not a JSON object: {self.detail}"


@dataclass
class UnknownType(Undecodable):
    """No contract of the topic has this ``type``."""

    topic: str
    found: str
    reason = "unknown-type"

    def __str__(self) -> str:
        return f"type {self.found} is none of {self.topic}'s"


@dataclass
class UnknownMajor(Undecodable):
    """The record's major version is not one that this release reads."""

    found: str
    known: int
    reason = "unknown-major"

    def __str__(self) -> str:
        return f"schema_version {self.found}: this release reads major {self.known}; upgrade the reader"


@dataclass
class ContractViolated(Undecodable):
    """A field is missing, of a wrong type, or out of its range."""

    type: str
    problems: Sequence[tuple[str, str, str]]
    reason = "contract-violated"

    def __str__(self) -> str:
        shown = "; ".join(f"{key}: found {found}, {allowed}" for key, found, allowed in self.problems[:3])
        more = f" (and {len(self.problems) - 3} more)" if len(self.problems) > 3 else ""
        return f"{self.type}: {shown}{more}"


@dataclass
class WrongKey(Undecodable):
    """The record's Kafka key is not the one that its contract says: it is in a partition where nobody judges it."""

    found: str | None
    expected: str
    reason = "wrong-key"

    def __str__(self) -> str:
        found = "no key" if self.found is None else f"key {self.found!r}"
        return f"{found}, expected {self.expected!r}: send with key = migration_id and partitioner=murmur2_random"


@dataclass
class Unstorable(Undecodable):
    """The record keeps its contract and holds a value that the ledger cannot: a NUL in a text, a number out of range."""

    detail: str
    reason = "unstorable"

    def __str__(self) -> str:
        return f"the ledger cannot hold it: {self.detail}"
