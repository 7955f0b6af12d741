"""Where a runner's records go, and from where it is told what to do: the protocol that Kafka and memory both keep."""

from collections.abc import Callable
from typing import Any, Protocol

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import Record
from holdfast_schemas.transport.topics import Topic

Settled = Callable[[str | None], None]
"""Called once for each record: with None when it is delivered, else with why it is not."""


class Hearing(Protocol):
    """What a follower tells a run; called on the follower's thread."""

    def placed(self, partition: int, lease_offset: int) -> None:
        """The partition is known, and where its leases ended at assignment."""

    def reached_end(self) -> None:
        """Control has been read to the end that it had at assignment: no older order can follow."""

    def heard(self, state: DesiredState) -> None:
        """A desired state of this migration."""

    def heard_close(self, run_id: str, epoch: int) -> None:
        """A tombstone of this migration."""

    def beat(self, offset: int, lease: GuardLease) -> None:
        """A beat of the guard."""

    def polled(self, took_seconds: float, timeout_seconds: float) -> None:
        """A poll came back, ``took_seconds`` after the one before: this is how the lease counts time."""

    def lease_left_seconds(self) -> float:
        """What is left of the lease if no beat comes; 0 without one. No poll need wait beyond it."""

    def cannot_follow(self, why: str) -> None:
        """Nothing can be heard at present, and why."""


class Follower(Protocol):
    """Follows one migration's control and leases until it is stopped."""

    def start(self) -> None: ...

    def stop(self, seconds: float) -> None:
        """Stop following; wait at most ``seconds`` for it."""

    def forked(self) -> None:
        """In a forked child: forget the inherited client without running its destructor."""


class Sink(Protocol):
    """Carries records. ``send``, ``partitions`` and ``poll`` are called by one thread, the flusher's."""

    def send(self, topic: Topic[Any], record: Record, settled: Settled, partition: int | None = None) -> None:
        """Hand one record over, to its key's partition unless one is named.

        Never raises: what goes wrong is told to ``settled``, now or inside a later ``poll``.
        """

    def partitions(self, topic: Topic[Any]) -> int | None:
        """How many partitions the topic has; None while nobody can say. Waits half a second at most, never raises."""

    def poll(self, seconds: float) -> None:
        """Serve what was delivered, waiting at most ``seconds`` for it. Never raises."""

    def follow(self, migration_id: str, hearing: Hearing) -> Follower:
        """A follower of this migration's control and leases, not started yet."""

    def close(self) -> int:
        """Give up what was not delivered and return how many records that were."""

    def forked(self) -> None:
        """In a forked child: forget the inherited client without running its destructor; the next send makes a new one."""
