"""The command sampler: its last line is a number, and whatever else happens is no sample, in bounded time and memory."""

import contextlib
import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from holdfast_producers.samplers.command import CommandSampler
from holdfast_schemas.errors import SampleFailed
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(
    ("script", "value"),
    [("echo 3", 3.0), ("echo load:; echo; echo ' 2.5e1 '; echo", 25.0), ("echo noise >&2; printf -- -1", -1.0)],
)
def test_the_last_line_of_a_command_is_the_number(script: str, value: float) -> None:
    assert CommandSampler(["sh", "-c", script], "load", 10).sample().metrics == {"load": value}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["sh", "-c", "exit 3"], "exit code 3"),
        (["sh", "-c", "echo many"], "'many' last, which is no number"),
        (["sh", "-c", "echo nan"], "no number"),
        (["true"], "'nothing' last"),
        (["/does/not/exist"], "cannot be run"),
        (["sh", "-c", "sleep 60 & sleep 60"], "longer than 0.3 s"),
    ],
)
def test_a_command_that_gives_no_number_gives_no_sample(argv: list[str], says: str) -> None:
    began = time.monotonic()
    with pytest.raises(SampleFailed, match=says):
        CommandSampler(argv, "load", 0.3).sample()
    assert time.monotonic() - began < 20


def group_of(pid_file: Path) -> list[int]:
    """Who is left of a command and of what it started; its pid is the group's."""
    group, left = int(pid_file.read_text()), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process.pid)
    return left


def test_one_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(SampleFailed, match="longer than 1 s"):
        CommandSampler(["sh", "-c", f"echo $$ > {pid_file}; sleep 600 & sleep 600"], "load", 1).sample()
    wait_for(lambda: not group_of(pid_file), 20, "the whole group to be gone")


def test_one_that_is_under_way_is_killed_when_the_sampler_shall_stop(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    sampler = CommandSampler(["sh", "-c", f"echo $$ > {pid_file}; sleep 600 & sleep 600"], "load", 600)

    def stop() -> None:
        wait_for(lambda: pid_file.exists() and pid_file.read_text(), 20, "the command")
        sampler.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(SampleFailed, match="told to stop"):
        sampler.sample()
    stopper.join()
    wait_for(lambda: not group_of(pid_file), 20, "the whole group to be gone")


def test_one_that_prints_without_end_takes_no_memory() -> None:
    before = psutil.Process().memory_info().rss
    with pytest.raises(SampleFailed, match="longer than 1 s"):
        CommandSampler(["yes", "1"], "load", 1).sample()
    assert psutil.Process().memory_info().rss - before < 50_000_000


def test_the_end_of_a_long_output_is_read_and_half_a_line_is_no_number() -> None:
    assert CommandSampler(["sh", "-c", "seq 1 100000"], "load", 20).sample().metrics == {"load": 100_000}
    with pytest.raises(SampleFailed, match="no number"):
        CommandSampler(["sh", "-c", "printf '%010000d' 7"], "load", 20).sample()
