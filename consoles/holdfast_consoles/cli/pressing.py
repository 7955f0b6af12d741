"""What a key does in the live view: select, begin a request, type its reason, send it, leave. Pure: no terminal, no log."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast_schemas.requests import RequestKind

from .situation import Situation

KINDS: dict[str, RequestKind] = {"p": "pause", "r": "resume", "b": "rollback"}
STEPS = {"down": 1, "j": 1, "up": -1, "k": -1, "page down": 10, "page up": -10, "home": -(10**9), "end": 10**9}
REASON_CHARACTERS = 512
HELP = "↑↓ j k select   p pause   r resume   b rollback   q quit"


@dataclass(frozen=True)
class Asked:
    """A request that a person made, with the epoch that was on the screen when its key was pressed."""

    kind: RequestKind
    migration_id: str
    epoch: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.migration_id}#{self.epoch}"


class Quit:
    """The person leaves."""


@dataclass
class Pressing:
    """The person's side of the view: what is selected, and the request whose reason is being typed."""

    selected: str | None = None
    typing: Asked | None = None
    reason: str = ""

    def selection(self, seen: Sequence[Situation]) -> Situation | None:
        """The selected migration of those on the board; the first where nothing, or what is gone, is selected."""
        return next((one for one in seen if one.migration_id == self.selected), seen[0] if seen else None)

    def press(self, key: str, seen: Sequence[Situation]) -> Asked | Quit | None:
        """One key, on a board that shows ``seen``: what is to be done beyond the board, if anything."""
        if self.typing is not None:
            return self._type(key, self.typing)
        if key == "q":
            return Quit()
        at = self.selection(seen)
        if at is None:
            return None
        if key in STEPS:
            place = min(max(seen.index(at) + STEPS[key], 0), len(seen) - 1)
            self.selected = seen[place].migration_id
        elif key in KINDS:
            self.selected = at.migration_id
            self.typing, self.reason = Asked(KINDS[key], at.migration_id, at.epoch), ""
        return None

    def _type(self, key: str, asked: Asked) -> Asked | None:
        if key == "escape" or (key == "enter" and not self.reason.strip()):
            self.typing = None
        elif key == "enter":
            self.typing = None
            return Asked(asked.kind, asked.migration_id, asked.epoch, self.reason.strip())
        elif key == "backspace":
            self.reason = self.reason[:-1]
        elif key == "erase line":
            self.reason = ""
        elif len(key) == 1 and len(self.reason) < REASON_CHARACTERS:
            self.reason += key
        return None
