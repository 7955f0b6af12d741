"""A service that refused to start leaves the process that called it as it was: its signals, and those of what it starts."""

import signal
import threading

import pytest

from holdfast_consoles.cli.main import main
from holdfast_schemas.stopping import SIGNALS, Stopping


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
