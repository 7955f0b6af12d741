"""The ledger's database."""

from dataclasses import dataclass

from .tree import NotFound, Refused, Unreachable


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
class LedgerTooNew(Refused):
    """The ledger's schema was made by a newer release than this one."""

    schema: str
    found: str
    known: str

    def __str__(self) -> str:
        return (
            f"schema {self.schema} stands at {self.found}, this release knows up to {self.known}: run the newer release;"
            " going back needs the backup from before the upgrade (docs/ledger.md)"
        )


@dataclass
class LedgerBehind(Refused):
    """The ledger's schema lacks scripts of this release."""

    schema: str
    pending: list[str]

    def __str__(self) -> str:
        return f"schema {self.schema} lacks {', '.join(self.pending)}: run holdfast ledger migrate"


@dataclass
class LedgerRightsMissing(Refused):
    """The role that connects to the ledger lacks a right."""

    schema: str
    role: str
    detail: str

    def __str__(self) -> str:
        return (
            f"role {self.role} lacks rights on the ledger's schema {self.schema}: {self.detail};"
            f" run holdfast ledger migrate --grant-to {self.role} as the role that owns the ledger"
        )


@dataclass
class LedgerRoleMissing(NotFound):
    """The role that rights are to be granted to is not there."""

    role: str

    def __str__(self) -> str:
        return f"the ledger's server has no role {self.role}: CREATE ROLE {self.role} LOGIN first"


@dataclass
class LedgerMigrationFailed(Refused):
    """A script of the ledger could not be applied; the transaction was rolled back."""

    step: str
    schema: str
    detail: str

    def __str__(self) -> str:
        return (
            f"schema {self.schema} was not upgraded ({self.step}): {self.detail};"
            " it stands as it was: mend that, then run holdfast ledger migrate"
        )
