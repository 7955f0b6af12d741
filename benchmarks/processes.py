"""Processes beside a measurement: started with `python -m`, awaited until they say so, ended by the pid that was started."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.runtime.workers import ROOT, environment

from holdfast_schemas.transport.security import KafkaSettings


@contextmanager
def beside(kafka: KafkaSettings, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``benchmarks.MODULE`` with these arguments, once it has printed its first line."""
    argv = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with subprocess.Popen(argv, env=environment(kafka), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), f"{module} ended before it began"
            yield process
        finally:
            process.kill()
