"""The target's database, where recovery is prepared and done."""

from dataclasses import dataclass

from .tree import HoldfastError, NotFound, Refused, Unreachable, Unusable

SHOWN = 5
"""So many findings are in the sentence; the rest is counted."""


@dataclass
class TargetUnreachable(Unreachable):
    """The target's database does not answer, or does not let us in."""

    target: str
    detail: str

    def __str__(self) -> str:
        return f"target {self.target} cannot be reached: {self.detail}; check its dsn under [targets] and that it is up"


@dataclass
class RecoveryMoved(Refused):
    """The recovery is not in the state that the step needs: somebody else moved it on, or it never got there."""

    migration_id: str
    state: str
    wanted: str

    def __str__(self) -> str:
        if "armed" in self.wanted.split():
            cure = f"holdfast arm {self.migration_id} comes before its first row"
        elif "disarmed" in self.wanted:
            cure = f"holdfast disarm {self.migration_id} first"
        else:
            cure = f"holdfast rollback {self.migration_id} --method log goes on with it"
        return f"the recovery of {self.migration_id} is {self.state}, and this needs {self.wanted}: {cure}"


@dataclass
class RecoveryTaken(Refused):
    """Another one recovers this migration now: its fencing token is higher."""

    migration_id: str
    token: int
    newest: int

    def __str__(self) -> str:
        return (
            f"another one recovers {self.migration_id} now (token {self.newest}, ours is {self.token}): leave it to it"
        )


@dataclass
class MigrationNotConfigured(NotFound):
    """The settings do not say what the migration touches."""

    migration_id: str

    def __str__(self) -> str:
        return (
            f"settings do not know {self.migration_id}: write [migrations.{self.migration_id}] with target, tables and role"
            " in holdfast.toml (docs/settings.md)"
        )


@dataclass
class TableMissing(NotFound):
    """The target has no such table."""

    table: str
    database: str

    def __str__(self) -> str:
        return f"database {self.database} has no table {self.table}: mend tables under [migrations]"


@dataclass
class TableProtected(Refused):
    """Another migration is armed on the table: one at a time, else one undo would take back the other's rows."""

    table: str
    migration_id: str

    def __str__(self) -> str:
        return f"{self.table} is armed for {self.migration_id}: wait for it, or holdfast disarm {self.migration_id}"


@dataclass
class ArmRefused(Refused):
    """The server refused a step of arming; everything that was done is taken back."""

    migration_id: str
    step: str
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.migration_id} is not armed ({self.step}): {self.detail};"
            f" nothing of it is left on the server; ask holdfast preflight {self.migration_id}"
        )


@dataclass
class DisarmRefused(Refused):
    """A step could not be taken back; the others were, and a repetition goes on with it."""

    migration_id: str
    step: str
    detail: str

    def __str__(self) -> str:
        return f"{self.migration_id} is not wholly disarmed ({self.step}): {self.detail}; mend that and disarm again"


@dataclass
class GrantsMissing(Refused):
    """The role that we connect as may not do what a recovery needs; nothing was touched."""

    target: str
    detail: str

    def __str__(self) -> str:
        return f"target {self.target}: {self.detail}; an administrator runs what holdfast arm ID --print-grants prints"


@dataclass
class FenceRefused(Refused):
    """The migration's role could not be fenced; it may log in again as before."""

    migration_id: str
    detail: str
    cure: str

    def __str__(self) -> str:
        return f"{self.migration_id} is not fenced: {self.detail}; {self.cure}"


@dataclass
class UndoBlocked(Refused):
    """A chunk waits for somebody else's locks; what was taken back stays so, the fence stands, a repetition goes on."""

    migration_id: str
    detail: str
    holders: str

    def __str__(self) -> str:
        return (
            f"the undo of {self.migration_id} waits: {self.detail}; its tables are held by {self.holders};"
            f" end them, then holdfast rollback {self.migration_id} --method log goes on"
        )


@dataclass
class MalformedMessage(HoldfastError):
    """A message of the replication stream is not what its protocol says."""

    offset: int
    detail: str

    def __str__(self) -> str:
        return f"the replication stream sent what is no pgoutput message (byte {self.offset}): {self.detail}"


@dataclass
class SlotUnreadable(Refused):
    """The migration's slot cannot be read: it is lost, somebody reads it, or the server went away."""

    slot: str
    detail: str

    def __str__(self) -> str:
        return (
            f"slot {self.slot} cannot be read: {self.detail}; a slot that the server gave up holds nothing any more,"
            " see wal_status in pg_replication_slots: then only a clone has the old rows"
        )


@dataclass
class UndoRefused(Refused):
    """What the migration did cannot be taken back row by row; nothing was touched."""

    migration_id: str
    reasons: list[str]

    def __str__(self) -> str:
        return (
            f"{self.migration_id} cannot be undone from the log, and nothing was touched: {'; '.join(self.reasons)};"
            f" a clone has the rows as they were: holdfast clone {self.migration_id}"
        )


@dataclass
class PlanUnreadable(Unusable):
    """The plan's SQL does not parse."""

    line: int
    detail: str

    def __str__(self) -> str:
        return f"the plan does not parse (line {self.line}): {self.detail}"


@dataclass
class PreflightBlocked(Refused):
    """Preflight found what has to be cured before the migration can be armed."""

    migration_id: str
    findings: list[str]

    def __str__(self) -> str:
        named, more = self.findings[:SHOWN], len(self.findings) - SHOWN
        if more > 0:
            named = [*named, f"and {more} more: holdfast preflight {self.migration_id} names them"]
        return f"{self.migration_id} cannot be armed: {'; '.join(' '.join(one.split()) for one in named)}"
