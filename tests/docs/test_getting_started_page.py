"""docs/getting-started.md: its commands parse, its settings load, and its two programs do what it says on a real loop."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.settings import Settings
from tests.packaging.test_compose import parsed
from tests.waiting import wait_for

from .test_protocol_page import ROOT

PAGE = (ROOT / "docs" / "getting-started.md").read_text()
BLOCKS: dict[str, list[str]] = {}
for language, block in re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S):
    BLOCKS.setdefault(language, []).append(block)
COMMANDS = re.findall(r"^holdfast (.*?)(?:  +#.*)?$", "\n".join(BLOCKS["sh"]), re.M)
TYPED = re.findall(r"`holdfast (.+?)`", PAGE)
SPOIL = re.findall(r"`(UPDATE prices .+?)`", PAGE)[0]


@pytest.mark.parametrize("command", [*COMMANDS, *TYPED])
def test_a_command_parses(command: str) -> None:
    words = re.findall(r'"[^"]*"|\S+', command)
    assert parsed([word.strip('"') for word in words])


def test_its_settings_load_and_its_links_are_there() -> None:
    assert Settings(**tomllib.loads(BLOCKS["toml"][0])).ledger.dsn
    for link in re.findall(r"\]\(([\w-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / link).is_file(), link
    for program in re.findall(r"^python (examples/\S+)", "\n".join(BLOCKS["sh"]), re.M):
        assert (ROOT / program).is_file()


def programs(folder: Path) -> None:
    """The page's two programs, as files."""
    for program in BLOCKS["python"]:
        (folder / program.splitlines()[0].removeprefix("# ")).write_text(program)


def test_its_programs_are_python(tmp_path: Path) -> None:
    programs(tmp_path)
    for path in (tmp_path / "prices.py", tmp_path / "guarded.py"):
        compile(path.read_text(), path.name, "exec")


@pytest.fixture
def on(kafka: Any) -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o711)  # PostgreSQL's user must pass through it
    try:
        with stage(kafka.bootstrap_servers, folder, lambda line: None) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def said(on: Stage, *words: str) -> str:
    ran = subprocess.run(
        [*HOLDFAST, *words], env=on.environment(), capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def status(on: Stage, migration_id: str) -> dict[str, Any]:
    listed = [one for one in json.loads(said(on, "status", "--json")) if one["migration_id"] == migration_id]
    return listed[0] if listed else {"state": "unknown", "epoch": 0}


def wait_until(on: Stage, migration_id: str, state: str) -> int:
    """The epoch at which the migration is in this state."""
    found = wait_for(
        lambda: (one := status(on, migration_id))["state"] == state and one, 90, f"{migration_id} {state}", 0.5
    )
    return int(found["epoch"])  # type: ignore[index]


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_what_it_says_happens(on: Stage) -> None:
    programs(on.folder)

    def start(program: str, **variables: str) -> ChildProcess:
        return on.start(program, [sys.executable, str(on.folder / program), on.app_dsn], **variables)

    with psycopg.connect(on.app_dsn, autocommit=True) as db:
        db.execute(BLOCKS["sql"][0].encode())
        observed = start("prices.py", HOLDFAST_MODE="observe")
        wait_until(on, "prices-to-cents", "running")
        assert "OBSERVED, NOT GUARDED" in said(on, "status", "prices-to-cents")
        assert observed.wait(120) == 0, observed.log_tail()
        db.execute("UPDATE prices SET cents = NULL")
        runner = start("prices.py")
        wait_for(lambda: status(on, "prices-to-cents")["epoch"] == 1, 60, "the grant", 0.5)
        paused = said(on, "pause", "prices-to-cents", "--reason", "a look at the replicas")
        assert "pause of prices-to-cents#2 is effective: every live worker has acknowledged" in paused
        said(on, "resume", "prices-to-cents#2", "--reason", "they keep up")
        assert runner.wait(120) == 0, runner.log_tail()
        assert db.execute("SELECT count(*) FROM prices WHERE cents IS NULL").fetchone() == (0,)
        db.execute(SPOIL.encode())
        guarded = start("guarded.py")
        epoch = wait_until(on, "prices-again", "paused")
        assert epoch == 2
        said(on, "resume", f"prices-again#{epoch}", "--reason", "let it show")
        assert guarded.wait(120) == 0, guarded.log_tail()
        assert re.match(r"rolled_back: (\d+) rows done, \d+ failed, \1 restored", guarded.log_tail(1))
        assert db.execute("SELECT count(*) FROM prices WHERE cents IS NOT NULL").fetchone() == (0,)
    assert "rollback" in said(on, "history", "prices-again")
    assert "agrees" in said(on, "verify")


@pytest.mark.long
@pytest.mark.timeout(200)
def test_the_servers_for_a_try_say_where_they_are_and_leave_nothing() -> None:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.rmdir()
    servers = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "servers.py"), str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert servers.stdout is not None
        line = servers.stdout.readline()
        assert f"HOLDFAST_CONFIG={folder}/holdfast.toml" in line
        with psycopg.connect(re.findall(r"SHOP='(.*)'", line)[0]) as db:
            assert db.execute("SELECT 1").fetchone() == (1,)
        servers.terminate()
        assert servers.wait(60) == 0
    finally:
        servers.kill()
        servers.communicate()
    assert not folder.exists()
