"""Shell completion, by the mechanism of click and typer: the shell sets a variable, and the command prints what fits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.publish import Publisher
from tests.consoles.conftest import Log
from tests.consoles.test_status import desired, metrics
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka


def completed(line: str) -> list[str]:
    """What bash would offer at the end of this line."""
    words = line.split(" ")
    ran = subprocess.run(
        [sys.executable, "-m", "holdfast_consoles.cli.main"],
        env={
            **os.environ,
            "_HOLDFAST_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


def test_commands_and_options_are_offered() -> None:
    assert completed("holdfast re") == ["resume", "replay"]
    assert completed("holdfast dead-letters ") == ["replay", "list"]
    assert "--reason" in completed("holdfast rollback --")


@pytest.mark.parametrize("command", ["status", "rollback"])
def test_migrations_that_the_broker_knows_are_offered(log: Log, migration_id: str, command: str) -> None:
    """Of metrics and of control; not those of which control was taken back, unless they have figures."""
    log.write(topics.metrics, metrics(f"{migration_id}-a"))
    log.write(topics.control, desired(f"{migration_id}-b"), desired(f"{migration_id}-c"))
    _take_back(log, desired(f"{migration_id}-c"))
    both = [f"{migration_id}-a", f"{migration_id}-b"]
    wait_for(lambda: completed(f"holdfast {command} {migration_id}") == both, 60, "both, read within a second")


def _take_back(log: Log, state: DesiredState) -> None:
    encoded = encode(state)
    with Publisher(log.kafka, "test") as publisher:
        publisher.publish_bytes(topics.control.full_name(log.kafka.topic_prefix), encoded.key, None, [])


@pytest.mark.parametrize(
    "line", ["holdfast status ", "holdfast --config wrong.toml status ", "holdfast --config none.toml status "]
)
def test_no_broker_and_no_settings_offer_nothing_silently(
    alone: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (alone / "wrong.toml").write_text("[kafka\n")
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert completed(line) == []


def test_the_settings_file_of_the_line_is_heeded(
    log: Log, alone: Path, monkeypatch: pytest.MonkeyPatch, migration_id: str
) -> None:
    log.write(topics.metrics, metrics(migration_id))
    monkeypatch.delenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS")
    monkeypatch.delenv("HOLDFAST_KAFKA__TOPIC_PREFIX")
    kafka = log.kafka
    (alone / "mine.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
    )
    line = f"holdfast --config mine.toml status {migration_id[:-1]}"
    wait_for(lambda: completed(line) == [migration_id], 60, "the migration, read within a second")


def test_bash_takes_the_script_that_is_installed(alone: Path) -> None:
    program = Path(sys.executable).parent
    ran = subprocess.run(
        ["bash", "-c", "holdfast --install-completion && . ~/.bashrc && complete -p holdfast"],
        env={**os.environ, "HOME": str(alone), "PATH": f"{program}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == "complete -o default -F _holdfast_completion holdfast"
