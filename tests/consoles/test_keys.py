"""Keys: what a terminal's bytes are, and what each key does to the view and asks for."""

import os
import pty
import signal
import termios
from contextlib import suppress

import pytest

from holdfast_consoles.cli.keys import ENDS, Ended, Keyboard, KeyDecoder
from holdfast_consoles.cli.pressing import Asked, Pressing, Quit
from holdfast_consoles.cli.situation import Situation
from tests.consoles.test_board import one

SEEN = [one(name) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B", ["up", "down"]),
        (b"\x1bOA\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[F", ["page up", "page down", "home", "end"]),
        (b"\n", ["enter"]),
        (b"\x7f\x15", ["backspace", "erase line"]),
        ("für €".encode(), list("für €")),
        (b"\x1b[15~x", ["x"]),
        (b"\x1b[1;5Ax", ["x"]),
        (b"\x00\x01\x02x", ["x"]),
        (b"\xff", ["\N{REPLACEMENT CHARACTER}"]),
        (b"\x1bq", ["escape", "q"]),
    ],
)
def test_bytes_are_keys_however_they_are_cut(data: bytes, keys: list[str]) -> None:
    assert KeyDecoder().feed(data) == keys
    decoder = KeyDecoder()
    assert [key for byte in data for key in decoder.feed(bytes([byte]))] == keys


@pytest.mark.parametrize("data", [b"\x1b", b"\x1b[", b"\x1bO", b"\x1b[1"])
def test_a_sequence_that_does_not_go_on_was_escape(data: bytes) -> None:
    decoder = KeyDecoder()
    assert decoder.feed(data) == []
    assert decoder.waits
    assert decoder.flush() == ["escape"]
    assert not decoder.waits
    assert decoder.flush() == []


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        ([], "a"),
        (["down"], "b"),
        (["j", "j"], "c"),
        (["down", "down", "down", "down"], "c"),
        (["down", "up"], "a"),
        (["k"], "a"),
        (["end"], "c"),
        (["end", "home"], "a"),
        (["page down"], "c"),
        (["x", "enter", "escape"], "a"),
    ],
)
def test_keys_select(keys: list[str], selected: str) -> None:
    pressing = Pressing()
    assert [pressing.press(key, SEEN) for key in keys] == [None] * len(keys)
    at = pressing.selection(SEEN)
    assert at is not None
    assert at.migration_id == selected


def typed(pressing: Pressing, *keys: str, seen: list[Situation] | None = None) -> list[object]:
    """What comes of it, key by key; a text of several letters that names no key is typed letter by letter."""
    names = ("enter", "escape", "backspace", "erase line", "down")
    each = [key for text in keys for key in ([text] if text in names else text)]
    return [done for key in each if (done := pressing.press(key, SEEN if seen is None else seen)) is not None]


@pytest.mark.parametrize(("key", "kind"), [("p", "pause"), ("r", "resume"), ("b", "rollback")])
def test_a_request_has_the_reason_and_the_epoch_that_was_seen(key: str, kind: str) -> None:
    pressing = Pressing()
    assert typed(pressing, "down", key, "too quick", "enter") == [Asked(kind, "b", 7, "too quick")]  # type: ignore[arg-type]
    assert pressing.typing is None


def test_the_epoch_is_that_of_the_key_not_one_that_came_while_typing() -> None:
    pressing = Pressing()
    typed(pressing, "r", "mend")
    assert SEEN[0].desired is not None
    moved = Situation("a", SEEN[0].metrics, SEEN[0].desired.model_copy(update={"epoch": 9}), SEEN[0].guard)
    assert typed(pressing, "ed", "enter", seen=[moved]) == [Asked("resume", "a", 7, "mended")]


@pytest.mark.parametrize(
    "keys", [("enter",), ("escape",), ("text", "escape"), ("   ", "enter"), ("ab", "erase line", "enter")]
)
def test_an_empty_reason_or_escape_cancels(keys: tuple[str, ...]) -> None:
    pressing = Pressing()
    assert typed(pressing, "b", *keys) == []
    assert pressing.typing is None
    assert typed(pressing, "p", "new", "enter") == [Asked("pause", "a", 7, "new")], "nothing of the old text is left"


def test_letters_of_a_reason_are_not_commands() -> None:
    assert typed(Pressing(), "p", "qpbrjk", "enter") == [Asked("pause", "a", 7, "qpbrjk")]


def test_a_reason_is_mended_and_bounded() -> None:
    assert typed(Pressing(), "p", "ab", "backspace", "c", "enter") == [Asked("pause", "a", 7, "ac")]
    [asked] = typed(Pressing(), "p", "x" * 600, "enter")
    assert isinstance(asked, Asked)
    assert len(asked.reason) == 512


def test_q_leaves_and_an_empty_board_takes_no_request() -> None:
    [left] = typed(Pressing(), "q", seen=[])
    assert isinstance(left, Quit)
    pressing = Pressing()
    assert typed(pressing, "b", "enter", seen=[]) == []
    assert pressing.typing is None


def test_an_error_gives_the_terminal_and_the_signals_back() -> None:
    keyboard, line = pty.openpty()
    try:
        before, handlers = termios.tcgetattr(line), [signal.getsignal(one) for one in ENDS]
        with suppress(ZeroDivisionError), Keyboard(line) as keys:
            assert not termios.tcgetattr(line)[3] & termios.ECHO
            assert termios.tcgetattr(line)[6][termios.VSUSP] == b"\0", "Ctrl-Z would leave the screen to the shell"
            os.write(keyboard, b"\x1b[B\x1b")
            assert keys.read(10) + keys.read(0.2) == ["down", "escape"]
            assert keys.read(0) == []
            raise ZeroDivisionError
        assert termios.tcgetattr(line) == before
        assert [signal.getsignal(one) for one in ENDS] == handlers
    finally:
        os.close(keyboard)
        os.close(line)


def test_a_terminal_that_is_gone_ends_the_view() -> None:
    keyboard, line = pty.openpty()
    try:
        with Keyboard(line) as keys:
            os.close(keyboard)
            with pytest.raises(Ended) as ended:
                keys.read(10)
        assert ended.value.code == 129
    finally:
        os.close(line)
