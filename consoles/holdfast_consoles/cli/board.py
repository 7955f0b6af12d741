"""The live view as rich shows it: a row a migration, the selected one in full, what is typed, what was answered. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast_schemas.metrics import Estimate, MigrationMetrics, TriggerReading
from holdfast_schemas.triggers import SEVERITY

from .figures import age, figure
from .liveness import liveness
from .pressing import HELP, Pressing
from .shown import printable_text
from .situation import Situation
from .status import OBSERVED, lines

GRAVITY = {"tripped": 3, "breach": 2, "missing": 1}
"""How bad a trigger's reading is; of two alike the one with the severer action is shown."""
STYLES = {"dead": "bold red", "stuck": "bold red", "paused": "yellow", "rolling_back": "magenta", "running": "green"}
ANSWERS_SHOWN = 3
WIDE = 120
"""From so many characters on a row tells the total and the estimate's range."""


@dataclass(frozen=True)
class Row:
    """A migration's cells, as text."""

    name: str
    state: str
    progress: str
    rate: str
    ends: str
    trigger: str
    guard: str


def ordered(found: Sequence[Situation]) -> list[Situation]:
    """What goes on first, by id; then what is over, the newest end first."""
    over = [one for one in found if one.over]
    over.sort(key=lambda one: one.figures.updated_at if one.figures else datetime.min.replace(tzinfo=UTC), reverse=True)
    return [one for one in found if not one.over] + over


def row(one: Situation, at: datetime, short: bool = False) -> Row:
    """One migration's row at ``at``; ``short`` leaves out the total and the estimate's range."""
    figures = one.figures
    guard = "–" if one.over else "OBSERVED" if one.observed_only else one.guard.word
    if figures is None:
        return Row(one.name, one.state(), "no report yet", "", "", "", guard)
    over = one.over
    return Row(
        one.name,
        _state(one),
        _progress(figures, short),
        "" if over else figure(figures.rows_per_second),
        ""
        if figures.estimate.expected is None and (over or figures.state == "dead")
        else _ends(figures.estimate, at, short),
        "" if over else _worst(figures.triggers),
        guard,
    )


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
    detail = detail[: max(room - 3, 0)]
    first, last = _visible(seen, selected, room - len(detail))
    middle: list[RenderableType] = [_table(seen[first:last], selected, at, width)] if seen else [Text(wait)]
    empty = [Text("")] * (room - len(detail) - (last - first))  # so that the keys stand on the last line
    if (hidden := len(seen) - (last - first)) > 0:
        head += f"   {hidden} more: scroll"
    return Group(Text(head, style="bold", no_wrap=True, overflow="ellipsis"), *middle, *detail, *empty, *below)


def _table(seen: Sequence[Situation], selected: Situation | None, at: datetime, width: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")
    table.add_column("migration", max_width=max(width // 4, 12), no_wrap=True, overflow="ellipsis")
    for name in ("state", "progress", "rows/s", "ends (UTC)"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("worst trigger", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("guard", width=8, no_wrap=True, overflow="ellipsis")
    for one in seen:
        cells = row(one, at, short=width < WIDE)
        live = "" if one.figures is None else one.figures.state
        table.add_row(
            Text(cells.name),
            Text(printable_text(cells.state), style=STYLES.get(live, "")),
            Text(printable_text(cells.progress)),
            Text(cells.rate),
            Text(cells.ends),
            Text(printable_text(cells.trigger)),
            Text(cells.guard, style="bold red" if cells.guard == "NO GUARD" else ""),
            style="reverse" if one is selected else "dim" if one.over else "",
        )
    return table


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


def _state(one: Situation) -> str:
    """The state, with the seconds where nothing is heard or moves, and a word where the figures are too old to know."""
    found = liveness(one)
    seconds = {"dead": found.seconds_since_report, "stuck": found.seconds_since_progress}.get(found.verdict)
    since = "" if seconds is None else f" {age(seconds)}"
    return f"{one.state()}{since}" + (", stale" if found.verdict == "unknown" else "")


def _progress(figures: MigrationMetrics, short: bool) -> str:
    done = figures.rows_already_done + figures.rows_processed
    if figures.total_rows is None:
        return f"{done:,} rows"
    share = f"{100 * done / figures.total_rows:.1f} %" if figures.total_rows else f"{done:,} rows"
    return share if short else f"{share} of {figures.total_rows:,}"


def _ends(found: Estimate, at: datetime, short: bool) -> str:
    if found.expected is None:
        return found.state.replace("_", " ")
    if found.state == "done":
        return f"ended {_short(found.expected, at)}"
    earliest = "now" if found.earliest is None else _short(found.earliest, at)
    latest = "open" if found.latest is None else _short(found.latest, at)
    expected = _short(found.expected, at)
    return expected if short or earliest == expected == latest else f"{expected} ({earliest}–{latest})"


def _short(then: datetime, at: datetime) -> str:
    then = then.astimezone(UTC)
    return f"{then:%H:%M}" if then.date() == at.astimezone(UTC).date() else f"{then:%b %d %H:%M}"


def _worst(triggers: Sequence[TriggerReading]) -> str:
    """The gravest verdict; where none is grave, how many triggers read what."""
    if not triggers:
        return "no trigger"
    worst = max(triggers, key=lambda one: (GRAVITY.get(one.reading, 0), SEVERITY[one.action]))
    if worst.reading in GRAVITY:
        return f"{worst.action}: {worst.verdict}"
    return ", ".join(
        f"{number} {reading.replace('_', ' ')}"
        for reading, number in Counter(t.reading for t in triggers).most_common()
    )
