"""`holdfast watch` as a person uses it: in a terminal, on a real Kafka, with keys, and every way out of it."""

import os
import signal
from itertools import pairwise

import pytest

from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.transport import topics
from tests.consoles.actuator_stand_in import answering, outcomes
from tests.consoles.conftest import Holdfast, Log
from tests.consoles.in_a_terminal import Terminal, in_a_terminal
from tests.consoles.test_status import beat, desired, metrics
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka
MAIN_SCREEN, CURSOR = "\x1b[?1049l", "\x1b[?25h"


def is_whole(terminal: Terminal) -> bool:
    """Attributes as before, the shell's screen again, the cursor to be seen."""
    wait_for(lambda: MAIN_SCREEN in terminal.text, 10, "the shell's screen")
    return terminal.is_as_before() and terminal.text.rindex(CURSOR) > terminal.text.rindex("\x1b[?25l")


def stands(log: Log, migration_id: str) -> MigrationMetrics:
    figures = metrics(migration_id, rows_processed=1_000, rows_already_done=0)
    log.write(topics.metrics, figures)
    log.write(topics.control, desired(migration_id, epoch=9, desired="run"))
    beat(log, migration_id, renewed=True)
    return figures


def test_a_migration_is_followed_and_a_key_asks_with_the_epoch_on_the_screen(log: Log, migration_id: str) -> None:
    first, second = f"a-{migration_id}", f"b-{migration_id}"
    figures = stands(log, first)
    stands(log, second)
    with (
        answering(log.kafka, outcomes(("requested", ""), ("effective", "all stopped"), epoch=10)) as heard,
        in_a_terminal("watch", "--actor", "ana@db") as terminal,
    ):
        terminal.shows(f"{first}#9", f"{second}#9", "running", "0.5 % of 200,000", "held")
        log.write(topics.metrics, figures.model_copy(update={"rows_processed": 100_000, "state": "stuck"}))
        terminal.shows("50.0 % of 200,000", "stuck")
        log.write(topics.control, desired(first, epoch=10, desired="pause"))
        terminal.shows(f"{first}#10", "pause requested")

        wait_for(lambda: first in selected(terminal), 20, "the first selected")
        terminal.type("j")
        wait_for(lambda: second in selected(terminal), 20, "the second selected")
        terminal.type("b")
        terminal.shows(f"rollback {second}#9: why?")
        terminal.type("wrong ratez\x7fs\n")
        terminal.shows(f"rollback of {second}#10 is effective: all stopped")
        terminal.type("\x1b[A")
        wait_for(lambda: first in selected(terminal), 20, "the first selected")
        terminal.type("p")
        terminal.shows(f"pause {first}#10: why?")
        terminal.type("\x1b")
        terminal.shows("q quit")
        terminal.type("q")
        assert terminal.ends() == 0
        wait_for(lambda: MAIN_SCREEN in terminal.text, 10, "the shell's screen")
        left = terminal.text.rpartition(MAIN_SCREEN)[2]
        assert f"rollback of {second}#10 is effective: all stopped" in left, "what was asked for is left to be read"
        assert is_whole(terminal)
    asked = [r for r in heard if r.migration_id in (first, second)]
    assert [(r.kind, r.migration_id, r.expected_epoch, r.reason, r.actor) for r in asked] == [
        ("rollback", second, 9, "wrong rates", "ana@db")
    ]


def selected(terminal: Terminal) -> str:
    """The line under the table: the selected migration, above what is said of it."""
    return next((above for above, line in pairwise(terminal.screen.splitlines()) if line.startswith("  wanted")), "")


@pytest.mark.parametrize(
    ("way", "code"), [("ctrl-c", 130), ("term", 143), ("ctrl-c while typing", 130), ("hangup", 129)]
)
def test_every_way_out_leaves_the_terminal_whole(log: Log, migration_id: str, way: str, code: int) -> None:
    stands(log, migration_id)
    with in_a_terminal("watch") as terminal:
        terminal.shows("holdfast watch", "running")
        assert not terminal.is_as_before(), "keys come one by one"
        if way == "ctrl-c while typing":
            terminal.type("pbecause")
            terminal.shows("> because")
        if way.startswith("ctrl-c"):
            terminal.type("\x03")
        else:
            os.kill(terminal.process.pid, signal.SIGTERM if way == "term" else signal.SIGHUP)
        assert terminal.ends() == code
        assert is_whole(terminal)
        assert "Traceback" not in terminal.text
        assert "Aborted" not in terminal.text


BROKEN = """
import sys
from holdfast_consoles.cli import view
from holdfast_consoles.cli.main import main

shown = view.board

def board(seen, *rest):
    if seen:
        raise ZeroDivisionError("a bug")
    return shown(seen, *rest)

view.board = board
sys.exit(main(sys.argv[1:]))
"""


def test_an_error_leaves_the_terminal_whole_and_is_told_after_it(log: Log, migration_id: str) -> None:
    stands(log, migration_id)
    with in_a_terminal("watch", program=("-c", BROKEN)) as terminal:
        assert terminal.ends() == 70
        assert is_whole(terminal)
        wait_for(lambda: "internal error: ZeroDivisionError: a bug" in terminal.text, 10, "the error")
        assert terminal.text.index("internal error") > terminal.text.rindex(MAIN_SCREEN)


def test_a_terminal_of_three_lines_is_no_harm(log: Log, migration_id: str) -> None:
    stands(log, migration_id)
    with in_a_terminal("watch", width=20, height=3) as terminal:
        terminal.shows("holdfast watch")
        terminal.type("q")
        assert terminal.ends() == 0
        assert is_whole(terminal)


def test_topics_that_are_missing_are_named_before_the_screen_is_taken(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_KAFKA__TOPIC_PREFIX", "nowhere")
    with in_a_terminal("watch") as terminal:
        assert terminal.ends() == 5
        wait_for(lambda: "topic nowhere.metrics does not exist" in terminal.text, 10, "the sentence")
        assert "\x1b[?1049h" not in terminal.text
        assert terminal.is_as_before()


def test_without_a_terminal_it_is_refused_in_words(holdfast: Holdfast) -> None:
    ran = holdfast("watch")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "holdfast: watch needs a terminal for its screen and its keys; for a program or a pipe: holdfast status --json\n"
    )


def test_a_terminal_that_can_only_print_is_refused(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    with in_a_terminal("watch", term="dumb") as terminal:
        assert terminal.ends() == 2
        wait_for(lambda: "holdfast status --json" in terminal.text, 10, "the sentence")
