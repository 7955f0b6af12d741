"""The keyboard while a view stays open: keys one by one, unechoed, and the terminal as it was on every way out.

(click.getchar waits without an end and sets the terminal anew for each key; a live view needs neither.)
"""

import codecs
import os
import re
import select
import signal
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, Self

ESCAPE = "\x1b"
ESCAPE_SECONDS = 0.05
"""A lone Esc is told from the beginning of an arrow's sequence by what does not follow it this soon."""

NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down",
    "\x1b[H": "home", "\x1b[F": "end", "\x1bOH": "home", "\x1bOF": "end", "\x1b[1~": "home", "\x1b[4~": "end",
    "\x1b[5~": "page up", "\x1b[6~": "page down",
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "erase line", ESCAPE: "escape",
}  # fmt: skip
"""What terminals send (xterm's and the VT220's sequences, which all others follow), by its name here."""

_WHOLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[@-~]|\x1b(?![\[O])|[^\x1b]", re.DOTALL)
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class KeyDecoder:
    """Bytes of a terminal as keys: a character is itself, other keys have names; unknown sequences are passed over."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""

    def feed(self, data: bytes) -> list[str]:
        """The keys that are whole; a sequence that may go on is kept for the next bytes."""
        self._pending += self._text.decode(data)
        found = []
        while (match := _WHOLE.match(self._pending)) and self._pending != ESCAPE:
            self._pending = self._pending[match.end() :]
            found.append(match.group())
        return [key for one in found if (key := _named(one)) is not None]

    @property
    def waits(self) -> bool:
        """Whether what came last may be a part of a sequence."""
        return bool(self._pending)

    def flush(self) -> list[str]:
        """Nothing more came: what waits was Esc, and not a sequence's beginning."""
        cut, self._pending = self._pending, ""
        return ["escape"] if cut else []


def _named(sequence: str) -> str | None:
    return NAMES.get(sequence, sequence if sequence.isprintable() else None)


class Ended(SystemExit):
    """A signal asked the view to end; the exit code is the shell's for it."""


class Keyboard:
    """The terminal's keys, for the time of a ``with``. Signals that end the process end the ``with`` instead, once.

    Ctrl-Z is off meanwhile: a stopped view would leave its screen and its key handling to the shell.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._decoder = KeyDecoder()
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._terminal)
        self._handlers = {one: signal.signal(one, self._end) for one in ENDS}
        try:
            tty.setcbreak(self._terminal)
            changed = termios.tcgetattr(self._terminal)
            changed[tty.CC][termios.VSUSP] = b"\0"
            termios.tcsetattr(self._terminal, termios.TCSANOW, changed)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def read(self, seconds: float) -> list[str]:
        """The keys that were pressed, at the latest after ``seconds``. Raises Ended when the terminal is gone."""
        if not self._came(seconds):
            return []
        found = self._decoder.feed(self._bytes())
        while self._decoder.waits:
            found += self._decoder.feed(self._bytes()) if self._came(ESCAPE_SECONDS) else self._decoder.flush()
        return found

    def _came(self, seconds: float) -> bool:
        return bool(select.select([self._terminal], [], [], seconds)[0])

    def _bytes(self) -> bytes:
        try:
            data = os.read(self._terminal, 1024)
        except OSError:
            data = b""
        if not data:
            raise Ended(128 + signal.SIGHUP)
        return data

    def _end(self, number: int, frame: FrameType | None) -> None:
        for one in ENDS:  # a second Ctrl-C must not break into the restoring
            signal.signal(one, signal.SIG_IGN)
        raise Ended(128 + number)

    def _restore(self) -> None:
        for one in ENDS:
            signal.signal(one, signal.SIG_IGN)
        try:
            termios.tcsetattr(self._terminal, termios.TCSAFLUSH, self._before)
        except termios.error:
            pass  # the terminal is gone: there is nothing left to restore
        finally:
            for one, handler in self._handlers.items():
                signal.signal(one, handler)
