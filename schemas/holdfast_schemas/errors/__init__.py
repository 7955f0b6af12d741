"""The one tree of errors: a class per refusal, its values as fields, the cure in its message.

Exit codes (documented in the README of consoles): 2 usage, 3 refused, 4 not found, 5 cannot reach a service,
6 no acknowledgement in time, 70 internal.
"""

from .configuration import (
    ExtraMissing,
    FileUnreadable,
    LedgerNotConfigured,
    ReferenceInvalid,
    RulesInvalid,
    SecretsUnreadable,
    SettingsInvalid,
    SettingsUnreadable,
)
from .kafka import BrokerUnreachable, NotDelivered, PartitionsDiffer, RecordTooLarge, TopicMissing, TopicsWrong
from .ledger import (
    LedgerBehind,
    LedgerMigrationFailed,
    LedgerRightsMissing,
    LedgerRoleMissing,
    LedgerSchemaChanged,
    LedgerTooNew,
    LedgerUnreachable,
)
from .people import (
    DeadLetterMissing,
    NotATerminal,
    NotReplayed,
    RequestRefused,
    RequestUnanswered,
    RulesNotInForce,
    UnknownMigration,
)
from .processes import (
    ChildDidNotStart,
    ChildStillRunning,
    DemoFailed,
    DownloadFailed,
    FolderNotReachable,
    ServerNotReady,
)
from .records import ContractViolated, Garbage, Undecodable, UnknownMajor, UnknownType, Unstorable, WrongKey
from .recovery import RecoveryMoved, TargetUnreachable
from .runners import (
    BackfillInvalid,
    GuardUnavailable,
    JournalRefused,
    RollbackRequested,
    RunAlreadyLive,
    RunFenced,
    RunRefused,
    RunStopped,
)
from .samplers import SampleFailed, TargetUnknown
from .states import ForeignLog, LogRecreated, StateTooNew
from .tree import HoldfastError, NoAcknowledgement, NotFound, Refused, Unreachable, Unusable

__all__ = [
    "BackfillInvalid",
    "BrokerUnreachable",
    "ChildDidNotStart",
    "ChildStillRunning",
    "ContractViolated",
    "DeadLetterMissing",
    "DemoFailed",
    "DownloadFailed",
    "ExtraMissing",
    "FileUnreadable",
    "FolderNotReachable",
    "ForeignLog",
    "Garbage",
    "GuardUnavailable",
    "HoldfastError",
    "JournalRefused",
    "LedgerBehind",
    "LedgerMigrationFailed",
    "LedgerNotConfigured",
    "LedgerRightsMissing",
    "LedgerRoleMissing",
    "LedgerSchemaChanged",
    "LedgerTooNew",
    "LedgerUnreachable",
    "LogRecreated",
    "NoAcknowledgement",
    "NotATerminal",
    "NotDelivered",
    "NotFound",
    "NotReplayed",
    "PartitionsDiffer",
    "RecordTooLarge",
    "RecoveryMoved",
    "ReferenceInvalid",
    "Refused",
    "RequestRefused",
    "RequestUnanswered",
    "RollbackRequested",
    "RulesInvalid",
    "RulesNotInForce",
    "RunAlreadyLive",
    "RunFenced",
    "RunRefused",
    "RunStopped",
    "SampleFailed",
    "SecretsUnreadable",
    "ServerNotReady",
    "SettingsInvalid",
    "SettingsUnreadable",
    "StateTooNew",
    "TargetUnknown",
    "TargetUnreachable",
    "TopicMissing",
    "TopicsWrong",
    "Undecodable",
    "UnknownMajor",
    "UnknownMigration",
    "UnknownType",
    "Unreachable",
    "Unstorable",
    "Unusable",
    "WrongKey",
]
