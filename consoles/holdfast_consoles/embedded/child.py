"""A child process that cannot outlive its owner: one way for servers, services and runners alike.

Whatever ends the owner (return, exception, Ctrl-C, SIGTERM, SIGKILL), the keeper beside the child (``keeper.py``) asks
the child to stop, waits its grace, then kills it and everything that it started.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from holdfast_consoles.embedded.keeper import STOP
from holdfast_schemas.errors import ChildDidNotStart, ChildStillRunning

KEEPER = Path(__file__).with_name("keeper.py")
LOG_TAIL_LINES = 20


@dataclass(frozen=True)
class RunAs:
    """The user and group that a child runs as; only root may ask for another than its own."""

    uid: int
    gid: int


class ChildProcess:
    """One child process, its log in a file.

    Ctrl-C in the terminal does not reach it (it has a session of its own): its owner decides. ``stop_signal`` asks it to
    stop; what is left of it and its descendants ``grace_seconds`` later, or after it ended by itself, is killed.
    ``scratch`` is a folder that is removed when the owner ends without having stopped the child.
    """

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        run_as: RunAs | None = None,
        stop_signal: int = signal.SIGTERM,
        grace_seconds: float = 10.0,
        scratch: Path | None = None,
    ) -> None:
        self.argv = [os.fspath(word) for word in argv]
        self.log_path = log_path
        self.env = None if env is None else dict(env)
        self.cwd = cwd
        self.run_as = run_as
        self.stop_signal = stop_signal
        self.grace_seconds = grace_seconds
        self.scratch = scratch
        self.pid = 0
        """The pid of the child itself (not of its keeper), 0 before :meth:`start`."""
        self._keeper: subprocess.Popen[bytes] | None = None
        self._control = -1
        self._report: IO[bytes] | None = None
        self._returncode: int | None = None
        self._lock = threading.RLock()

    def start(self) -> Self:
        """Start it once. Raises :class:`ChildDidNotStart` when its program cannot be run."""
        order_read, self._control = os.pipe()
        report_read, report_write = os.pipe()
        self._report = os.fdopen(report_read, "rb", buffering=0)
        order = {
            "argv": self.argv,
            "cwd": None if self.cwd is None else os.fspath(self.cwd),
            "uid": None if self.run_as is None else self.run_as.uid,
            "gid": None if self.run_as is None else self.run_as.gid,
            "stop_signal": int(self.stop_signal),
            "grace_seconds": self.grace_seconds,
            "scratch": None if self.scratch is None else os.fspath(self.scratch),
            "owner": os.getpid(),
            "control": order_read,
            "report": report_write,
        }
        try:
            with self.log_path.open("ab") as log:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(KEEPER), json.dumps(order)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self.env,
                    pass_fds=(order_read, report_write),
                    start_new_session=True,
                )
        finally:
            os.close(order_read)
            os.close(report_write)
        first = self._next_report(None)
        if "pid" not in first:
            self._end(-1)
            raise ChildDidNotStart(self.argv[0], first.get("error", "its keeper ended"), self.log_tail())
        self.pid = first["pid"]
        return self

    def poll(self) -> int | None:
        """The exit code (minus the signal that ended it), or None while it or a descendant still runs."""
        return self._collect(0.0)

    @property
    def running(self) -> bool:
        return self._keeper is not None and self.poll() is None

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait until it and its descendants are gone; returns the exit code.

        Raises :class:`ChildStillRunning` after ``timeout_seconds``.
        """
        returncode = self._collect(timeout_seconds)
        if returncode is None:
            raise ChildStillRunning(self.argv[0], self.pid, timeout_seconds or 0.0, self.log_tail())
        return returncode

    def send_signal(self, number: int) -> None:
        """Signal the child itself, not its descendants; nothing happens when it has ended."""
        with self._lock:
            if self._returncode is None:
                try:
                    os.write(self._control, b"%d\n" % number)
                except BrokenPipeError:
                    self._collect(None)

    def stop(self) -> int:
        """Ask it to stop, kill what is left after its grace, wait for the end; returns the exit code."""
        self.send_signal(STOP)
        return self.wait()

    def kill(self) -> int:
        """SIGKILL it and every descendant at once, wait for the end; returns the exit code."""
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last ``lines`` lines of its log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _collect(self, timeout_seconds: float | None) -> int | None:
        with self._lock:
            if self._returncode is None and self._report is not None:
                report = self._next_report(timeout_seconds)
                if report:
                    # a keeper that ended without a report was killed, and its child with it
                    self._end(report.get("returncode", -signal.SIGKILL))
            return self._returncode

    def _next_report(self, timeout_seconds: float | None) -> dict[str, Any]:
        """The keeper's next line; ``{"ended": True}`` at end of file, ``{}`` when none came in time."""
        assert self._report is not None
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._report], [], [], left)
            if not ready:
                return {}
            line = self._report.readline()
            message: dict[str, Any] = json.loads(line) if line else {"ended": True}
            return message

    def _end(self, returncode: int) -> None:
        assert self._keeper is not None
        assert self._report is not None
        self._returncode = returncode
        self._keeper.wait()
        self._report.close()
        self._report = None
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
