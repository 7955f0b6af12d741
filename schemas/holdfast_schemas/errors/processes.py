"""Servers and processes that Holdfast starts itself."""

from dataclasses import dataclass
from pathlib import Path

from .tree import HoldfastError, Unreachable, Unusable


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
class VersionNotHere(Unusable):
    """A PostgreSQL of this major version is neither ours to fetch nor installed."""

    version: int
    folder: Path

    def __str__(self) -> str:
        return (
            f"no PostgreSQL {self.version} in {self.folder}: install the system's package postgresql-{self.version},"
            " or take 14, 16 or 18"
        )


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
class DemoFailed(HoldfastError):
    """The demo could not come to its end."""

    what: str
    log_tail: str
    exit_code = 1

    def __str__(self) -> str:
        return self.what + (f"; the end of its log:\n{self.log_tail}" if self.log_tail else "")
