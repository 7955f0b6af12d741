"""What becomes of one change whose row is not as the migration left it. Pure: the change and the row in, one answer out.

After Oracle's TRANSACTION_BACKOUT: ``keep`` (the default) leaves every value that somebody else wrote since; ``force`` gives
the migration's columns their old values whatever stands there; ``cascade`` gives the whole row its old image, so that what was
written to it since goes too. Whatever is not simply as it was is reported, also what force and cascade did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OnConflict = Literal["keep", "cascade", "force"]
Operation = Literal["I", "U", "D"]
Row = Mapping[str, str | None]
"""Column name to text; the columns that an undo writes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``sets``: column to its value; ``reason`` and ``columns`` say what the conflict is, None where there is none."""

    act: Literal["nothing", "set", "insert", "delete"]
    sets: Row
    reason: str | None = None
    columns: tuple[str, ...] = ()


NOTHING = Answer("nothing", {})


def resolve(operation: Operation, old: Row, new: Row, current: Row | None, on_conflict: OnConflict) -> Answer:
    """The answer for one change, where ``current`` is the row that has its key now (None: there is none)."""
    if operation == "I":
        return _inserted(new, current, on_conflict)
    if operation == "D":
        return _deleted(old, current, on_conflict)
    return _updated(old, new, current, on_conflict)


def _inserted(new: Row, current: Row | None, on_conflict: OnConflict) -> Answer:
    if current is None:
        return NOTHING  # gone already, which is what the undo is for
    differing = _differing(new, current)
    if not differing:
        return Answer("delete", {})
    if on_conflict == "keep":
        return Answer("nothing", {}, "written to since it was inserted: it stays", differing)
    return Answer("delete", {}, "written to since it was inserted: deleted all the same", differing)


def _deleted(old: Row, current: Row | None, on_conflict: OnConflict) -> Answer:
    if current is None:
        return Answer("insert", old)
    differing = _differing(old, current)
    if not differing:
        return NOTHING
    if on_conflict == "keep":
        return Answer("nothing", {}, "its key was inserted again: that row stays", differing)
    return Answer("set", old, "its key was inserted again: that row was overwritten", differing)


def _updated(old: Row, new: Row, current: Row | None, on_conflict: OnConflict) -> Answer:
    if current is None:
        if on_conflict == "cascade":
            return Answer("insert", old, "deleted since: it was brought back", tuple(old))
        return Answer("nothing", {}, "deleted since: it stays deleted", tuple(old))
    ours = [name for name in new if old[name] != new[name]]
    theirs = tuple(name for name in ours if current[name] not in (new[name], old[name]))
    if on_conflict == "cascade" and theirs:
        sets = {name: value for name, value in old.items() if current[name] != value}
        return Answer("set", sets, "written to since: the whole row was put back", tuple(sets))
    back = [name for name in ours if current[name] != old[name] and (on_conflict != "keep" or name not in theirs)]
    sets = {name: old[name] for name in back}
    act: Literal["set", "nothing"] = "set" if sets else "nothing"
    if not theirs:
        return Answer(act, sets)
    said = "these values stay" if on_conflict == "keep" else "these values were overwritten"
    return Answer(act, sets, f"written to since: {said}", theirs)


def _differing(one: Row, other: Row) -> tuple[str, ...]:
    return tuple(name for name, value in one.items() if other[name] != value)
