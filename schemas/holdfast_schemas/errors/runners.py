"""What a runner is told: take it back, stop, fenced, refused, unguarded."""

from dataclasses import dataclass

from .tree import Refused, Unreachable, Unusable


@dataclass
class RollbackRequested(Refused):
    """Raised by ``checkpoint()`` in the one worker that takes the run back, and on entry when an old run's undo is owed."""

    migration_id: str
    run_id: str
    undo_token: int
    reason: str

    def __str__(self) -> str:
        return (
            f"run {self.run_id} of {self.migration_id} is to be rolled back ({self.reason}): "
            "catch RollbackRequested and take its work back in `with run.undoing(request)`"
        )


@dataclass
class RunStopped(Refused):
    """This worker's part is over: another worker (``undo_by``) takes the run back, or (None) the run was closed."""

    migration_id: str
    run_id: str
    reason: str
    undo_by: str | None = None

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.migration_id} is stopped: {self.reason}; end this worker"


@dataclass
class RunFenced(Refused):
    """A newer run of the same migration was granted; this one must not write any more."""

    migration_id: str
    run_id: str
    fenced_by: str
    start_epoch: int

    def __str__(self) -> str:
        return (
            f"run {self.run_id} of {self.migration_id} is fenced by run {self.fenced_by} (epoch {self.start_epoch}): "
            "end this process; the newer run goes on"
        )


@dataclass
class RunRefused(Refused):
    """The ledger does not let this run start."""

    migration_id: str
    reason: str

    def __str__(self) -> str:
        return f"the run of {self.migration_id} was refused: {self.reason}; see holdfast status {self.migration_id}"


@dataclass
class RunAlreadyLive(Refused):
    """Another run of this migration has live workers."""

    migration_id: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.migration_id} has a live run already ({self.reason}): join it by sharing its HOLDFAST_RUN_ID, "
            "or start with takeover=True, which fences it"
        )


@dataclass
class GuardUnavailable(Unreachable):
    """The loop that guards the run is not complete; ``missing_link`` says which part."""

    migration_id: str
    seconds: float
    missing_link: str

    def __str__(self) -> str:
        return (
            f"no guard for {self.migration_id} within {self.seconds:g} s: {self.missing_link}; "
            "HOLDFAST_MODE=observe runs without one"
        )


@dataclass
class JournalRefused(Refused):
    """The run's row in the target's journal does not allow this write (protocol 19): the undo has begun, or moved on."""

    run_id: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"journal of run {self.run_id}: {self.wanted} wanted, found {self.found}; this worker must stop"


@dataclass
class BackfillInvalid(Unusable):
    """A backfill that does not fit its table."""

    table: str
    problem: str

    def __str__(self) -> str:
        return f"backfill of {self.table}: {self.problem}"


@dataclass
class JoinRefused(Refused):
    """The session may not join the migration; what it writes would not be the migration's."""

    migration_id: str
    sqlstate: str
    detail: str

    def __str__(self) -> str:
        return f"this session does not join {self.migration_id}: {self.detail}"


@dataclass
class PoolerBetween(Refused):
    """A pooler lends our server session to others between two transactions."""

    host: str
    port: int

    def __str__(self) -> str:
        return (
            f"{self.host}:{self.port} is a pooler that changes sessions between transactions: a migration's tag would stay on"
            " somebody else's; connect to the server itself, or use session pooling"
        )
