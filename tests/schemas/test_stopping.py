"""A service that refused to start leaves the process that called it as it was: its signals, and those of what it starts."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from holdfast_consoles.cli.main import main
from holdfast_schemas.stopping import LOOK_SECONDS, SIGNALS, Stopping

WAITS = """
from holdfast_schemas.stopping import Stopping
with Stopping() as stopping:
    stopping.began(lambda: None)
    print("begun", flush=True)
    stopping.told.wait()
    print("told", flush=True)
"""


def blocked() -> set[signal.Signals | int]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ()) & SIGNALS


def test_the_signals_are_given_back() -> None:
    with Stopping():
        assert blocked() == SIGNALS
        assert any(thread.name == "stopping" for thread in threading.enumerate())
    assert blocked() == set()
    assert not any(thread.name == "stopping" for thread in threading.enumerate())


@pytest.mark.parametrize("service", ["processor", "actuator"])
def test_a_service_that_refuses_gives_them_back(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main([service]) in (2, 5)
    assert blocked() == set()


def test_a_service_that_stood_still_hears_the_signal_afterwards() -> None:
    """Its machine was suspended, say: SIGSTOP, longer than one look for signals, then SIGCONT."""
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            assert service.stdout.readline() == "begun\n"
            for _ in range(3):
                service.send_signal(signal.SIGSTOP)
                time.sleep(LOOK_SECONDS * 3)
                service.send_signal(signal.SIGCONT)
                time.sleep(LOOK_SECONDS)
            assert service.poll() is None
            service.send_signal(signal.SIGTERM)
            assert service.wait(20) == 0
            assert service.stdout.read() == "told\n"
        finally:
            service.kill()
