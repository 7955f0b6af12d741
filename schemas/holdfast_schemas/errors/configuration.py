"""What was typed, configured or installed cannot be used as it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .tree import Unusable


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
class SecretsUnreadable(Unusable):
    """The folder of HOLDFAST_SECRETS_DIR, or a file in it, cannot be read."""

    folder: Path
    detail: str

    def __str__(self) -> str:
        return (
            f"secrets in {self.folder} (HOLDFAST_SECRETS_DIR) cannot be read: {self.detail}; "
            "it holds files named like variables, such as HOLDFAST_LEDGER__DSN, that this user may read"
        )


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
class LedgerNotConfigured(Unusable):
    """The actuator has no database to keep its ledger in."""

    def __str__(self) -> str:
        return "the actuator needs a PostgreSQL database: set HOLDFAST_LEDGER__DSN, or [ledger] dsn in holdfast.toml"
