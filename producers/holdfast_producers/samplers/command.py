"""Any command as a sampler: its last line is a number."""

import math
import os
import signal
import subprocess
from collections.abc import Sequence

from holdfast_schemas.errors import SampleFailed

from .sampling import Sample

SHOWN_CHARACTERS = 200


class CommandSampler:
    """Runs ``argv`` for each sample; the last line that it prints is the value of ``metric``.

    One that takes longer than ``limit_seconds`` is killed with all that it started.
    """

    def __init__(self, argv: Sequence[str], metric: str, limit_seconds: float) -> None:
        self._argv = list(argv)
        self._metric = metric
        self._limit_seconds = limit_seconds

    def sample(self) -> Sample:
        """See Sampler."""
        try:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                errors="replace", start_new_session=True, preexec_fn=_with_signals,
            )  # fmt: skip
        except OSError as error:
            raise SampleFailed(f"{self._argv[0]} cannot be run: {error.strerror}") from None
        with process:
            try:
                out, err = process.communicate(timeout=self._limit_seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise SampleFailed(f"{self._argv[0]} took longer than {self._limit_seconds:g} s") from None
        if process.returncode:
            raise SampleFailed(f"{self._argv[0]} ended with exit code {process.returncode}: {_shown(err)}")
        return Sample({self._metric: _number(self._argv[0], out)})

    def close(self) -> None:
        """See Sampler."""


def _with_signals() -> None:
    """In the child: the signals that the sampler itself waits for are the command's own again."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _number(name: str, out: str) -> float:
    lines = out.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    try:
        value = float(last)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SampleFailed(f"{name} printed {_shown(last) or 'nothing'!r} last, which is no number")
    return value


def _shown(text: str) -> str:
    return " ".join(text.split())[-SHOWN_CHARACTERS:]
