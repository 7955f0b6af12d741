"""An embedded PostgreSQL: a real server on loopback, in a data folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_consoles.embedded.folders import closed_to_others
from holdfast_consoles.embedded.ports import LOOPBACK, free_ports
from holdfast_consoles.embedded.postgres_binaries import NEWEST, programs, run_as
from holdfast_schemas.errors import FolderNotReachable, ServerNotReady

SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 60.0
PORT_ATTEMPTS = 5
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SETTINGS = {
    "wal_level": "logical",
    "max_prepared_transactions": "10",
    "max_wal_size": "2GB",
    "max_connections": "200",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """A server that lives as long as its owner, and is stopped, killed and started again on the same port and data.

    ``folder`` (made when absent) holds the data and the log and is kept; without it a temporary one is used and removed
    by :meth:`close`. Connections from loopback are trusted: whoever can run programs on this machine can connect.
    As root it runs as an unprivileged user. ``fsync=False`` is for tests that kill no machine. ``version`` 18 and 16 are in
    our wheel, 14 is fetched, others are the system's.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        fsync: bool = True,
        settings: dict[str, str] | None = None,
        version: int = NEWEST,
    ) -> None:
        self.folder = folder
        self.fsync = fsync
        self.settings = settings or {}
        self.version = version
        self.port = 0
        self.run_as = run_as()
        self.child: ChildProcess | None = None
        self._temporary: Path | None = None

    @property
    def data(self) -> Path:
        assert self.folder is not None
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        assert self.folder is not None
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """The postmaster's pid; 0 while none was started."""
        return 0 if self.child is None else self.child.pid

    def dsn(self, dbname: str = "postgres") -> str:
        """A libpq connection string of a database of this server."""
        return f"host={LOOPBACK} port={self.port} user={SUPERUSER} dbname={dbname}"

    def start(self) -> Self:
        """Make the data folder when it is new, start, wait until it accepts connections.

        Raises :class:`ExtraMissing`, :class:`VersionNotHere`, :class:`DownloadFailed`, :class:`FolderNotReachable`,
        :class:`ServerNotReady`.
        """
        if self.child is not None and self.child.running:
            return self
        self._prepare_folder()
        if self.port:
            self._launch()
            return self
        for attempt in range(1, PORT_ATTEMPTS + 1):
            [self.port] = free_ports(1)
            try:
                self._launch()
            except ServerNotReady as refusal:
                self.port = 0
                if attempt == PORT_ATTEMPTS or "Address already in use" not in refusal.log_tail:
                    raise
            else:
                return self
        raise AssertionError("unreachable: the last attempt returns or raises")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """``fast`` ends sessions and writes a checkpoint; ``immediate`` leaves a crash recovery to the next start."""
        if self.child is not None:
            self.child.send_signal(STOP_SIGNALS[mode])
            self.child.stop()

    def kill(self) -> None:
        """SIGKILL the postmaster and all its processes; returns when none is left."""
        if self.child is not None:
            self.child.kill()

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start on the same port and data."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it was a temporary one."""
        self.stop("immediate" if self._temporary else "fast")
        if self._temporary is not None:
            shutil.rmtree(self._temporary)
            self._temporary = self.folder = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare_folder(self) -> None:
        if self.folder is None:
            self.folder = self._temporary = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
            self.folder.chmod(0o755)
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.data.exists():
            return
        if self.run_as is not None:
            closed = closed_to_others(self.folder)
            if closed is not None:
                raise FolderNotReachable(self.folder, closed, f"uid {self.run_as.uid}")
        self._initdb()

    def _initdb(self) -> None:
        """Made beside its place and renamed: a data folder that is there is complete."""
        assert self.folder is not None
        partial = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.folder))
        if self.run_as is not None:
            os.chown(partial, self.run_as.uid, self.run_as.gid)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}"]
        result = subprocess.run(
            [programs(self.version) / "initdb", "-D", partial, *options, *([] if self.fsync else ["--no-sync"])],
            user=None if self.run_as is None else self.run_as.uid,
            group=None if self.run_as is None else self.run_as.gid,
            extra_groups=None if self.run_as is None else [],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            shutil.rmtree(partial)
            raise ServerNotReady("PostgreSQL", "initdb failed", self.log_path, result.stdout + result.stderr)
        partial.rename(self.data)

    def _launch(self) -> None:
        settings = SETTINGS | {"fsync": "on" if self.fsync else "off"} | self.settings | {"port": str(self.port)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.child = ChildProcess(
            [programs(self.version) / "postgres", "-D", self.data, *words],
            log_path=self.log_path,
            cwd=Path("/"),
            run_as=self.run_as,
            stop_signal=signal.SIGINT,
            scratch=self._temporary,
        ).start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._accepts_connections():
            if not self.child.running:
                raise self._not_ready("it ended while starting")
            if time.monotonic() > deadline:
                self.child.kill()
                raise self._not_ready(f"it accepted no connection for {START_TIMEOUT_SECONDS:g} s")
            time.sleep(0.01)

    def _accepts_connections(self) -> bool:
        """What ``pg_ctl --wait`` reads too: the postmaster's own pid and status in its lock file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _not_ready(self, reason: str) -> ServerNotReady:
        assert self.child is not None
        return ServerNotReady(f"PostgreSQL on {LOOPBACK}:{self.port}", reason, self.log_path, self.child.log_tail())
