"""The live view as rich shows it: a row a migration, the selected one in full, what is typed, what was answered. Pure."""

from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .pressing import HELP, Pressing
from .rows import row
from .shown import printable_text
from .situation import Situation
from .status import OBSERVED, lines

STYLES = {"dead": "bold red", "stuck": "bold red", "paused": "yellow", "rolling_back": "magenta", "running": "green"}
ANSWERS_SHOWN = 3
WIDE = 140
"""From so many characters on a row tells the total, the estimate's range and the trigger's verdict."""
NARROW = 100
"""Below so many a row leaves out the rate."""


def board(
    seen: Sequence[Situation],
    pressing: Pressing,
    answers: Sequence[str],
    head: str,
    at: datetime,
    width: int,
    height: int,
    wait: str = "",
) -> RenderableType:
    """The whole screen, of ``width`` characters and ``height`` lines. ``wait`` is said where there is no migration (yet)."""
    selected = pressing.selection(seen)
    below = _footer(pressing, answers, width)
    detail = [] if selected is None else _detail(selected, width)
    room = height - 2 - len(below)  # the head and the columns' names
    detail = detail[
        : max(room - len(seen), room // 2)
    ]  # a short list is shown whole, a long one has half of the screen
    first, last = _visible(seen, selected, room - len(detail))
    middle: list[RenderableType] = [_table(seen[first:last], selected, at, width)] if seen else [Text(wait)]
    empty = [Text("")] * (room - len(detail) - (last - first))  # so that the keys stand on the last line
    if (hidden := len(seen) - (last - first)) > 0:
        head += f"   {hidden} more: scroll"
    return Group(Text(head, style="bold", no_wrap=True, overflow="ellipsis"), *middle, *detail, *empty, *below)


def _table(seen: Sequence[Situation], selected: Situation | None, at: datetime, width: int) -> Table:
    columns = [("migration", max(width // 4, 12)), ("state", max(width // 5, 16)), ("progress", None)]
    columns += [("rows/s", None)] if width >= NARROW else []
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")
    for name, most in (*columns, ("ends (UTC)", None)):
        table.add_column(name, max_width=most, no_wrap=True, overflow="ellipsis")
    table.add_column("worst trigger", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("guard", min_width=8, no_wrap=True)
    for one in seen:
        cells = row(one, at, short=width < WIDE)
        live = "" if one.figures is None else one.figures.state
        rate = [Text(cells.rate)] if width >= NARROW else []
        table.add_row(
            Text(_fitting(one, max(width // 4, 12))),
            Text(printable_text(cells.state), style=STYLES.get(live, "")),
            Text(printable_text(cells.progress)),
            *rate,
            Text(cells.ends),
            Text(printable_text(cells.trigger)),
            Text(cells.guard, style="bold red" if cells.guard == "NO GUARD" else ""),
            style="reverse" if one is selected else "dim" if one.over else "",
        )
    return table


def _fitting(one: Situation, most: int) -> str:
    """The name in at most so many characters: of a long one the middle goes, never the epoch."""
    epoch = f"#{one.epoch}"
    whole = len(one.name) <= most
    return one.name if whole else f"{one.migration_id[: max(most - len(epoch) - 1, 1)]}…{epoch}"


def _detail(one: Situation, width: int) -> list[RenderableType]:
    notice = f"  {OBSERVED}" if one.observed_only else ""
    told = [Text(""), Text(f"{one.name}  {one.state()}{notice}", style="bold", no_wrap=True, overflow="ellipsis")]
    for label, text in lines(one):
        wrapped = wrap(f"  {label:<9} {printable_text(text)}", max(width, 20), subsequent_indent=" " * 12)
        told += [Text(line, no_wrap=True, overflow="ellipsis") for line in wrapped]
    return list(told)


def _footer(pressing: Pressing, answers: Sequence[str], width: int) -> list[RenderableType]:
    told = [Text(printable_text(answer), no_wrap=True, overflow="ellipsis") for answer in answers[-ANSWERS_SHOWN:]]
    if pressing.typing is None:
        return [Text(""), *told, Text(HELP, style="dim", no_wrap=True, overflow="ellipsis")]
    question = Text(
        f"{pressing.typing}: why? (Enter sends, Esc cancels)", style="bold", no_wrap=True, overflow="ellipsis"
    )
    typed = pressing.reason[-max(width - 4, 1) :]  # the end of a long one: that is where it is typed
    return [Text(""), *told, question, Text(f"> {typed}▏", no_wrap=True)]


def _visible(seen: Sequence[Situation], selected: Situation | None, room: int) -> tuple[int, int]:
    """Which rows fit: the page of the list on which the selected one stands."""
    room = max(room, 1)
    if selected is None or len(seen) <= room:
        return 0, min(len(seen), room)
    first = min(max(seen.index(selected) - room // 2, 0), len(seen) - room)
    return first, first + room
