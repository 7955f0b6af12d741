"""A command in a terminal of its own: a pseudo-terminal of which a test is the keyboard and the screen."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.waiting import wait_for

HOME = "\x1b[H"
"""Each picture of a live view begins here."""
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
Attributes = list[object]


@dataclass
class Terminal:
    """The command, what it wrote, and the terminal's attributes before it was started."""

    process: "subprocess.Popen[bytes]"
    keyboard: int
    line: int
    before: Attributes
    wrote: bytearray = field(default_factory=bytearray)

    def type(self, keys: str) -> None:
        os.write(self.keyboard, keys.encode())

    @property
    def text(self) -> str:
        """Everything that was written, as it came."""
        return bytes(self.wrote).decode(errors="replace")

    @property
    def screen(self) -> str:
        """The newest picture, without its colours."""
        return _SEQUENCE.sub("", self.text.rpartition(HOME)[2])

    def shows(self, *words: str, seconds: float = 40) -> str:
        """Wait until the newest picture has all of these words; the picture."""
        try:
            return wait_for(
                lambda: (seen := self.screen) and all(word in seen for word in words) and seen, seconds, f"{words}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; exit code {self.process.poll()}; the screen:\n{self.screen}") from None

    def ends(self, seconds: float = 30) -> int:
        """Wait until the command has ended and all that it wrote was read; its exit code."""
        code = self.process.wait(seconds)
        return code

    def is_as_before(self) -> bool:
        """Whether the terminal's attributes are those that it had before the command."""
        return termios.tcgetattr(self.line) == self.before


@contextmanager
def in_a_terminal(
    *arguments: str,
    width: int = 160,
    height: int = 40,
    term: str = "xterm-256color",
    program: Sequence[str] = ("-m", "holdfast_consoles.cli.main"),
) -> Iterator[Terminal]:
    """Runs ``holdfast ARGUMENTS`` with a controlling terminal of its own; ends it if the test did not.

    ``program``: Python's own arguments, where it is not the plain command.
    """
    keyboard, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    before = termios.tcgetattr(line)
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdin=line,
        stdout=line,
        stderr=line,
        # What runs the tests may say how wide it is itself; the command is to ask its own terminal.
        env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": term},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(line, termios.TIOCSCTTY, 0),
    )
    terminal = Terminal(process, keyboard, line, before)

    def read() -> None:
        with contextlib.suppress(OSError):  # closed under it, at the end of the test
            while data := os.read(keyboard, 65536):
                terminal.wrote += data

    reader = threading.Thread(target=read, name="screen", daemon=True)
    reader.start()
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        os.close(line)
        reader.join(10)
        with contextlib.suppress(OSError):
            os.close(keyboard)
