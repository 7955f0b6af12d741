"""No broker at the start: observe mode is bounded and silent, guard mode says what is missing."""

import os
import subprocess
import sys
import time

import pytest

from holdfast import GuardUnavailable, Reporter
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.settings import quick

NOWHERE = "127.0.0.1:1"
PROGRAM = """
from holdfast import Reporter
with Reporter.from_env().run("m", target="t") as run:
    for _ in range(3):
        run.checkpoint()
        with run.batch(rows=1):
            pass
print("done")
"""


def test_observe_mode_without_a_broker_is_bounded_and_silent() -> None:
    environment = os.environ | {"HOLDFAST_MODE": "observe", "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": NOWHERE}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    assert time.monotonic() - began < 10


def test_guard_mode_without_a_broker_names_it() -> None:
    settings = quick(KafkaSettings(bootstrap_servers=NOWHERE), start_timeout_seconds=7.0, close_timeout_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(GuardUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:1") as caught:
        Reporter(settings).run("m", target="t").__enter__()
    assert time.monotonic() - began < 12
    assert caught.value.exit_code == 5
