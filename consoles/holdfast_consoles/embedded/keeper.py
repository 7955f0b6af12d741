"""The keeper of one child process: starts it, and ends it and all its descendants when the owner is gone.

Run as a script by :class:`holdfast_consoles.embedded.child.ChildProcess`, with the standard library alone (it starts in
milliseconds). One JSON argument says what to run. It listens on a pipe from the owner (one signal number a line) and
writes lines of JSON to another. End of file on the pipe, in whatever way the owner ended, SIGKILL included, ends the child
and removes its scratch folder.

Three facts of Linux carry it: a pipe ends with its last writer; a subreaper inherits orphaned descendants, so it sees
when really nothing is left; and the parent-death signal, set after the change of user (which clears it), ends the child
even when the keeper itself is killed.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP = 0
"""In place of a signal number: stop with the child's own signal, then kill what is left after the grace."""
OWNER_CHECK_SECONDS = 1.0
"""A process forked by the owner may hold the pipe open; that the owner itself is gone shows in our parent's pid."""

_libc = ctypes.CDLL(None, use_errno=True)


def set_process_flag(option: int, value: int) -> None:
    """prctl(2); raises OSError when the kernel refuses."""
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def descendants_of(root: int) -> list[int]:
    """The pids below ``root``, from /proc, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # gone between listdir and open
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    frontier = [root]
    while frontier:
        below = children.get(frontier.pop(), [])
        found += below
        frontier += below
    return found


class Keeper:
    """Runs one child to its end. ``control`` and ``report`` are file descriptors inherited from the owner."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.control: int = order["control"]
        self.report: int = order["report"]
        self.owner: int = order["owner"]
        self.pid = 0
        self.status: int | None = None
        self.kill_at: float | None = None
        self.stop_requested = False
        self.owner_gone = False

    def tell(self, **message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the owner is gone; ending the child is still our task
            os.write(self.report, (json.dumps(message) + "\n").encode())

    def run(self) -> int:
        set_process_flag(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.on_stop_signal)
        try:
            self.start()
        except OSError as error:
            self.tell(error=str(error))
            return 1
        self.tell(pid=self.pid)
        while self.reap():
            readable, _, _ = select.select([wake_read, *self.control_open()], [], [], self.patience())
            if wake_read in readable:
                os.read(wake_read, 4096)
            if self.control in readable:
                self.obey()
            self.enforce()
        if self.owner_gone and self.order["scratch"] is not None:
            shutil.rmtree(self.order["scratch"], ignore_errors=True)
        self.tell(returncode=os.waitstatus_to_exitcode(self.status or 0))
        return 0

    def on_stop_signal(self, _number: int, _frame: object) -> None:
        self.stop_requested = True

    def start(self) -> None:
        order = self.order
        keeper = os.getpid()

        def before_exec() -> None:
            set_process_flag(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(1)  # the keeper died between fork and prctl

        identity = {"user": order["uid"], "group": order["gid"], "extra_groups": []} if order["uid"] is not None else {}
        child = subprocess.Popen(
            order["argv"],
            cwd=order["cwd"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before_exec,
            **identity,
        )
        self.pid = child.pid
        child.returncode = 0  # reaped by reap() alone: Popen must not wait for a pid that may be another's by then

    def reap(self) -> bool:
        """Collect every ended descendant. False when none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = status
                self.kill_at = self.kill_at or time.monotonic() + self.order["grace_seconds"]

    def control_open(self) -> list[int]:
        return [self.control] if self.control >= 0 else []

    def patience(self) -> float:
        if self.kill_at is None:
            return OWNER_CHECK_SECONDS
        return min(OWNER_CHECK_SECONDS, max(0.05, self.kill_at - time.monotonic()))

    def obey(self) -> None:
        words = os.read(self.control, 4096).split()
        if not words:
            os.close(self.control)
            self.control = -1
            self.owner_gone = True
        for word in words:
            number = int(word)
            if number == STOP:
                self.stop()
            elif number == signal.SIGKILL:
                self.kill_at = time.monotonic()
            elif self.status is None:
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Ask the child to stop; what is left after the grace is killed."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.order["grace_seconds"]
            if self.status is None:
                os.kill(self.pid, self.order["stop_signal"])

    def enforce(self) -> None:
        self.owner_gone = self.owner_gone or os.getppid() != self.owner
        if self.stop_requested or self.owner_gone:
            self.stop()
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            for pid in descendants_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Keeper(json.loads(sys.argv[1])).run())
