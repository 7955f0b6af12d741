"""The one tree of errors: a class per refusal, its values as fields, the cure in its message.

Exit codes (documented in the README of consoles): 2 usage, 3 refused, 4 not found, 5 cannot reach a service,
6 no acknowledgement in time, 70 internal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class HoldfastError(Exception):
    """Every refusal of Holdfast. ``exit_code`` is what a command ends with when it is not caught."""

    exit_code = 70


class Unusable(HoldfastError):
    """Something typed or configured cannot be used as it stands."""

    exit_code = 2


class Refused(HoldfastError):
    """Holdfast could, but policy, preflight or a moved epoch says no."""

    exit_code = 3


class NotFound(HoldfastError):
    """What was named is not there."""

    exit_code = 4


class Unreachable(HoldfastError):
    """A service that is needed does not answer."""

    exit_code = 5


class NoAcknowledgement(HoldfastError):
    """What was asked was sent, and nobody confirmed it in time."""

    exit_code = 6


@dataclass
class SettingsInvalid(Unusable):
    """``holdfast.toml`` or the environment holds something that settings do not allow."""

    source: str
    problems: Sequence[tuple[str, str, str]]
    """(key, what was found, what is allowed)"""

    def __str__(self) -> str:
        lines = [f"  {key}: found {found}; {allowed}" for key, found, allowed in self.problems]
        return "\n".join([f"settings cannot be used ({self.source}):", *lines])


@dataclass
class SettingsUnreadable(Unusable):
    """``holdfast.toml`` is not TOML."""

    path: Path
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: not TOML: {self.detail}; mend the line or remove the file"


@dataclass
class RulesInvalid(Unusable):
    """A triggers file does not hold a rule set."""

    source: str
    problems: Sequence[tuple[str, str, str]]

    def __str__(self) -> str:
        lines = [f"  {key}: found {found}; {allowed}" for key, found, allowed in self.problems]
        return "\n".join([f"{self.source}: not a rule set:", *lines])


@dataclass
class ExtraMissing(Unusable):
    """A part of Holdfast was asked for whose packages are not installed."""

    extra: str
    module: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.purpose} needs the package {self.module!r}: pip install 'holdfast[{self.extra}]'"


class Undecodable(HoldfastError):
    """A record's bytes cannot be read as its topic's contract. Goes byte for byte to the dead letters."""

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


@dataclass
class BrokerUnreachable(Unreachable):
    """No broker answered."""

    bootstrap_servers: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"no Kafka broker answered at {self.bootstrap_servers} in {self.seconds:g} s; "
            "check HOLDFAST_KAFKA__BOOTSTRAP_SERVERS and that the broker is up"
        )


@dataclass
class TopicMissing(Unreachable):
    """A topic that is needed does not exist on the broker."""

    topic: str

    def __str__(self) -> str:
        return f"topic {self.topic} does not exist; create it: holdfast topics create"


@dataclass
class RecordTooLarge(Unusable):
    """A record is larger than the contract allows."""

    topic: str
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"a record for {self.topic} has {self.size_bytes} bytes; at most {self.limit_bytes} are allowed"


@dataclass
class NotDelivered(Unreachable):
    """The broker did not confirm a record in time."""

    topic: str
    detail: str

    def __str__(self) -> str:
        return f"a record for {self.topic} was not delivered: {self.detail}; is the broker up?"


@dataclass
class UnknownMigration(NotFound):
    """No topic or ledger row knows this migration."""

    migration_id: str

    def __str__(self) -> str:
        return f"no migration {self.migration_id!r} is known; holdfast status lists those that are"


@dataclass
class ChildDidNotStart(HoldfastError):
    """A child process could not be started."""

    program: str
    reason: str
    log_tail: str

    def __str__(self) -> str:
        return f"{self.program} did not start: {self.reason}" + (f"\n{self.log_tail}" if self.log_tail else "")


@dataclass
class ChildStillRunning(HoldfastError):
    """A child process had not ended within the time that its owner gives it."""

    program: str
    pid: int
    waited_seconds: float
    log_tail: str

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid}) still runs after {self.waited_seconds:g} s; its log ends:\n{self.log_tail}"


@dataclass
class ServerNotReady(Unreachable):
    """An embedded server ended, or answered nothing, while it was started."""

    server: str
    reason: str
    log_path: Path | None
    log_tail: str

    def __str__(self) -> str:
        log = "" if self.log_path is None else f" (log: {self.log_path})"
        return f"{self.server} is not ready: {self.reason}{log}\n{self.log_tail}".rstrip()


@dataclass
class FolderNotReachable(Unusable):
    """PostgreSQL refuses to run as root, and the user that it runs as instead cannot enter its folder."""

    folder: Path
    closed: Path
    user: str

    def __str__(self) -> str:
        return (
            f"{self.folder} cannot hold an embedded PostgreSQL: as root it runs as {self.user}, who cannot enter "
            f"{self.closed}; choose another folder, or chmod o+x {self.closed}"
        )


@dataclass
class DownloadFailed(Unreachable):
    """The packages of an embedded server could not be fetched."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what} could not be fetched: {self.reason}; check the network (or its proxy) and run it again"


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
    """This worker's part is over: another worker takes the run back, or the run was closed."""

    migration_id: str
    run_id: str
    reason: str

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
class DemoFailed(HoldfastError):
    """The demo could not come to its end."""

    what: str
    log_tail: str
    exit_code = 1

    def __str__(self) -> str:
        return self.what + (f"; the end of its log:\n{self.log_tail}" if self.log_tail else "")


@dataclass
class StateTooNew(HoldfastError):
    """A kept state was written by a newer release: reading it with this one would judge wrongly."""

    key: str
    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"the state of {self.key} has version {self.found}, this release reads {self.known}: run the newer release"
        )


@dataclass
class ForeignLog(HoldfastError):
    """A kept state belongs to another log than the partition's: the topic was made anew, or the stores were mixed."""

    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return (
            f"the state of {self.key} was kept beside log {self.found}, this partition's is {self.expected}: "
            "give the processors the changelog that belongs to these events, or an empty one"
        )


@dataclass
class FileUnreadable(Unusable):
    """A file that a command was given cannot be read."""

    path: Path
    detail: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.detail}"


@dataclass
class ReferenceInvalid(Unusable):
    """What was typed does not name a migration, or not its epoch where one is needed."""

    found: str
    problem: str

    def __str__(self) -> str:
        return f"{self.found!r}: {self.problem}; holdfast status shows migrations with their epochs"


@dataclass
class TopicsWrong(Refused):
    """Topics on the broker are not as Holdfast needs them; a topic is never changed in place."""

    problems: Sequence[tuple[str, str, str]]
    """(topic, what was found, what is needed)"""

    def __str__(self) -> str:
        lines = [f"  {topic}: found {found}; needed {needed}" for topic, found, needed in self.problems]
        cure = "holdfast topics create makes what is missing; delete and create again what is wrong"
        return "\n".join([f"topics are not as they must be ({cure}):", *lines])


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
class LedgerUnreachable(Unreachable):
    """The ledger's database does not answer."""

    detail: str

    def __str__(self) -> str:
        return f"the ledger's database cannot be reached: {self.detail}; check HOLDFAST_LEDGER__DSN and that it is up"


@dataclass
class LedgerSchemaChanged(Refused):
    """A SQL file of the ledger differs from what was applied under its number."""

    script: str
    schema: str

    def __str__(self) -> str:
        return f"{self.script} is not what was applied to schema {self.schema}: run the release that made it, or a newer one"


@dataclass
class PartitionsDiffer(Refused):
    """Topics that must be co-partitioned are not."""

    counts: dict[str, int]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} has {count}" for name, count in sorted(self.counts.items()))
        return f"topics must have the same number of partitions: {shown}; recreate the odd ones: holdfast topics check"


@dataclass
class LedgerNotConfigured(Unusable):
    """The actuator has no database to keep its ledger in."""

    def __str__(self) -> str:
        return "the actuator needs a PostgreSQL database: set HOLDFAST_LEDGER__DSN, or [ledger] dsn in holdfast.toml"
