"""The ledger's database."""

from dataclasses import dataclass

from .tree import Refused, Unreachable


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
