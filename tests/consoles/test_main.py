"""What becomes of an error: one sentence, one exit code, a traceback only when asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_consoles.cli import status as status_command
from tests.consoles.conftest import Holdfast


def test_help_names_every_command(holdfast: Holdfast) -> None:
    ran = holdfast("--help")
    assert ran.code == 0
    for name in (
        "processor", "actuator", "demo", "status", "watch", "history", "explain", "pause", "resume", "rollback",
        "override", "topics", "triggers", "dead-letters", "ledger", "verify", "replay",
    ):  # fmt: skip
        assert f"  {name} " in ran.out
    assert "..." not in ran.out.partition("Commands:")[2], "each command's first sentence fits its line"


@pytest.mark.parametrize(
    "arguments", [("sttaus",), ("status", "--bogus"), ("pause", "x"), ("--config", "none.toml", "status")]
)
def test_usage_errors_are_exit_2(holdfast: Holdfast, arguments: tuple[str, ...]) -> None:
    assert holdfast(*arguments).code == 2


@pytest.mark.parametrize("duration", ["0s", "5", "five", "-1s", "1h30"])
def test_a_wrong_duration_is_exit_2(holdfast: Holdfast, duration: str) -> None:
    ran = holdfast("pause", "x", "--reason", "y", f"--for={duration}")
    assert ran.code == 2
    assert duration in ran.err


def test_wrong_settings_name_file_key_found_and_allowed(alone: Path, holdfast: Holdfast) -> None:
    (alone / "mine.toml").write_text("[kafka]\nbootstrap_server = 'x'\n[actuator]\nlease_seconds = -3\n")
    for arguments in (("--config", "mine.toml", "status"), ("processor", "--config", "mine.toml")):
        ran = holdfast(*arguments)
        assert ran.code == 2
        for part in ("mine.toml", "kafka.bootstrap_server", "actuator.lease_seconds", "-3", "greater than 0"):
            assert part in ran.err
        assert "Traceback" not in ran.err


def test_a_settings_file_that_is_no_toml_is_exit_2(alone: Path, holdfast: Holdfast) -> None:
    (alone / "holdfast.toml").write_text("[kafka\n")
    ran = holdfast("status")
    assert ran.code == 2
    assert "holdfast.toml: not TOML" in ran.err


def test_what_was_not_foreseen_is_exit_70_in_one_sentence(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug\nin two lines")

    monkeypatch.setattr(status_command, "situations", broken)
    ran = holdfast("status")
    assert ran.code == 70
    assert (
        ran.err
        == "holdfast: internal error: ValueError: a bug in two lines; HOLDFAST_DEBUG=1 shows where it comes from\n"
    )
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    assert "Traceback" in holdfast("status").err


def test_a_package_that_is_missing_names_its_extra(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'faust.app'", name="faust.app")

    monkeypatch.setattr(status_command, "situations", unavailable)
    ran = holdfast("status")
    assert ran.code == 2
    assert ran.err == "holdfast: the processor needs the package 'faust': pip install 'holdfast[processor]'\n"


def test_the_command_line_loads_no_service() -> None:
    """Help, and every command for people, work without the services' packages."""
    code = (
        "import sys, holdfast_consoles.cli.commands; "
        "print([m for m in ('faust', 'psycopg', 'pglast', 'holdfast_consoles.demo.command') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "[]\n"


def test_the_demo_shows_its_own_options(holdfast: Holdfast) -> None:
    ran = holdfast("demo", "--help")
    assert ran.code == 0
    assert "--scenario" in ran.out
    assert holdfast("demo", "--scenario", "bogus").code == 2
