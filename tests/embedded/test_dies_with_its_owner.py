"""Nothing outlives the process that started it, however that process ends."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for

OWNER = Path(__file__).with_name("owner.py")
GONE_SECONDS = 20


def gone(pid: int) -> bool:
    """No such process, or only its entry that nobody has collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_owner(
    what: str, ends: str, tmp_path: Path, python: str = sys.executable, **as_user: object
) -> tuple[subprocess.Popen[str], dict]:
    with (tmp_path / "owner.log").open("w") as log:
        owner = subprocess.Popen([python, OWNER, what, ends], stdout=subprocess.PIPE, stderr=log, text=True, **as_user)
    line = owner.stdout.readline()
    assert line, (tmp_path / "owner.log").read_text()
    return owner, json.loads(line)


def assert_all_gone(pids: list[int]) -> None:
    wait_for(lambda: all(gone(pid) for pid in pids), GONE_SECONDS, f"the end of {pids}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", ["stubborn", "postgres"])
def test_after_the_owner_is_signalled(what, number, tmp_path):
    owner, pids = start_owner(what, "wait", tmp_path)
    assert len(pids["all"]) >= 3  # a keeper, the child, and what the child started
    assert not any(gone(pid) for pid in pids["all"])
    owner.send_signal(number)
    owner.wait(GONE_SECONDS)
    assert_all_gone(pids["all"])
    assert what == "stubborn" or not Path(pids["folder"]).exists()


@pytest.mark.parametrize(("ends", "code"), [("return", 0), ("exception", 1)])
def test_after_the_owner_ends_by_itself(ends, code, tmp_path):
    owner, pids = start_owner("postgres", ends, tmp_path)
    assert owner.wait(GONE_SECONDS) == code
    assert all(gone(pid) for pid in pids["all"])


@pytest.mark.kafka
def test_a_killed_owner_takes_its_kafka_with_it(tmp_path):
    owner, pids = start_owner("kafka", "wait", tmp_path)
    owner.kill()
    owner.wait(GONE_SECONDS)
    assert_all_gone(pids["all"])
    assert not Path(pids["folder"]).exists()


@pytest.mark.parametrize("what", ["stubborn", "postgres"])
def test_after_its_keeper_is_killed(what, tmp_path):
    owner, pids = start_owner(what, "wait", tmp_path)
    keeper = int(Path(f"/proc/{pids['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    assert keeper in pids["all"]
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: gone(pids["pid"]), GONE_SECONDS, "the end of the child by its parent-death signal")
    owner.kill()
    owner.wait(GONE_SECONDS)
    for pid in pids["all"]:
        if what == "stubborn" and not gone(pid):
            os.kill(pid, signal.SIGKILL)  # a grandchild in a session of its own is the keeper's to end, and it is dead
    assert_all_gone(pids["all"])
    if what == "postgres":
        shutil.rmtree(pids["folder"])  # its keeper would have, and was killed


def interpreter_for(identity: dict, environment: dict[str, str]) -> str | None:
    """This interpreter, else the system's of the same version: a virtual environment may sit in a closed folder."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            subprocess.run([python, "-c", "import holdfast_consoles"], env=environment, check=True, **identity)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


@pytest.mark.postgres
def test_postgres_of_an_unprivileged_user(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("this process is an unprivileged user already: every other test here shows it")
    nobody = pwd.getpwnam("nobody")
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": nobody.pw_dir}
    python = interpreter_for(identity, environment)
    if python is None:
        pytest.skip("nobody can run no interpreter of this version with these packages")
    owner, pids = start_owner("postgres", "wait", tmp_path, python=python, env=environment, **identity)
    assert Path(f"/proc/{pids['pid']}").stat().st_uid == nobody.pw_uid
    owner.kill()
    owner.wait(GONE_SECONDS)
    assert_all_gone(pids["all"])
