"""The live view's loop: what came and what was pressed, drawn on the terminal's other screen."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from holdfast_schemas.record import now

from .board import board
from .figures import clock
from .following import Following
from .keys import Keyboard
from .pressing import Pressing, Quit
from .rows import ordered
from .sending import Sending
from .situation import Situation

REDRAW_SECONDS = 0.25
"""What comes within this time is drawn at once: a terminal far away is not flooded."""
AGES_SECONDS = 1.0
"""Ages and guards are told anew this often, even where nothing comes."""
LISTEN_SECONDS = 0.05
NEVER = float("-inf")


def view(following: Following, sending: Sending, keyboard: Keyboard) -> None:
    """Show it until the person leaves. Raises Ended at a signal; the screen is the shell's again on every way out."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live, warnings_kept() as warnings:
        View(following, sending, warnings, console, live).run(keyboard)


class View:
    """The loop: what came and what was pressed, drawn when it changed."""

    def __init__(
        self, following: Following, sending: Sending, warnings: deque[str], console: Console, live: Live
    ) -> None:
        self._following = following
        self._sending = sending
        self._warnings = warnings
        self._console = console
        self._live = live
        self._pressing = Pressing()
        self._seen: list[Situation] = []

    def run(self, keyboard: Keyboard) -> None:
        """Until the person leaves. Raises Ended at a signal."""
        drawn, changed = NEVER, True
        answers: list[str] = []
        while True:
            changed |= self._following.listen(0)
            for key in keyboard.read(0 if self._following.left else LISTEN_SECONDS):
                pressed = self._pressing.press(key, self._seen)
                if isinstance(pressed, Quit):
                    return
                if pressed is not None:
                    self._sending.send(pressed)
                drawn = NEVER  # a key is answered at once
            answers, before = self._told(), answers
            age = time.monotonic() - drawn
            if age > AGES_SECONDS or (age > REDRAW_SECONDS and (changed or answers != before)):
                self._draw(answers)
                drawn, changed = time.monotonic(), False

    def _told(self) -> list[str]:
        return [*self._warnings, *self._sending.answers]

    def _draw(self, answers: list[str]) -> None:
        left = self._following.left
        self._seen = [] if left else ordered(self._following.situations())
        at = now()
        wait = (
            f"reading the topics: {left:,} offsets left"
            if left
            else "no migration is known yet: a runner with holdfast.Reporter makes itself known when it starts"
        )
        head = f"holdfast watch  {clock(at)}  {_count(self._seen)}"
        if not self._following.connected:
            head += "  NO BROKER ANSWERS: nothing below is newer than its figures say"
        width, height = self._console.size
        self._live.update(board(self._seen, self._pressing, answers, head, at, width, height, wait), refresh=True)


def _count(seen: list[Situation]) -> str:
    states = Counter("over" if one.over else one.figures.state if one.figures else "starting" for one in seen)
    return ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in states.most_common())


@contextmanager
def warnings_kept() -> Iterator[deque[str]]:
    """What is logged meanwhile, for the board: on stderr it would be written across it. The newest is kept."""
    kept: deque[str] = deque(maxlen=1)

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    handler = Keep(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield kept
    finally:
        root.removeHandler(handler)
