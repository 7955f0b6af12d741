"""What a check says: one sentence with the values, and the statement or setting that cures it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["block", "warn", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``block``: it would not be armed, or not be undone; ``warn``: it could fail then; ``note``: good to know."""

    level: Level
    code: str
    message: str
    cure: str = ""
