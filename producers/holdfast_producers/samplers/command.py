"""Any command as a sampler: its last line is a number."""

import contextlib
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import IO

from holdfast_schemas.errors import SampleFailed

from .sampling import Sample

SHOWN_CHARACTERS = 200
KEPT_BYTES = 8_192
"""Of what a command prints: it may print without end."""
LOOK_SECONDS = 0.2


class CommandSampler:
    """Runs ``argv`` for each sample; the last line that it prints is the value of ``metric``.

    One that takes longer than ``limit_seconds`` is killed with all that it started.
    """

    def __init__(self, argv: Sequence[str], metric: str, limit_seconds: float) -> None:
        self._argv = list(argv)
        self._metric = metric
        self._limit_seconds = limit_seconds
        self._stopping = threading.Event()

    def sample(self) -> Sample:
        """See Sampler."""
        try:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, preexec_fn=_with_signals,
            )  # fmt: skip
        except OSError as error:
            raise SampleFailed(f"{self._argv[0]} cannot be run: {error.strerror}") from None
        with process:
            try:
                out, err = self._output(process)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise SampleFailed(f"{self._argv[0]} ended with exit code {process.returncode}: {_shown(err)}")
        return Sample({self._metric: _number(self._argv[0], out)})

    def stop(self) -> None:
        """See Sampler."""
        self._stopping.set()

    def close(self) -> None:
        """See Sampler."""

    def _output(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Wait for the command's end; returns the last that it printed, and the last that it complained."""
        assert process.stdout is not None
        assert process.stderr is not None
        due = time.monotonic() + self._limit_seconds
        kept: dict[IO[bytes], bytes] = {process.stdout: b"", process.stderr: b""}
        with selectors.DefaultSelector() as open_pipes:
            for pipe in kept:
                open_pipes.register(pipe, selectors.EVENT_READ, pipe)
            while open_pipes.get_map():
                for key, _ in open_pipes.select(self._patience_seconds(due)):
                    read = os.read(key.fd, 65_536)
                    kept[key.data] = (kept[key.data] + read)[-KEPT_BYTES:]
                    if not read:
                        open_pipes.unregister(key.data)
        while process.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._patience_seconds(due))
        return _text(kept[process.stdout]), _text(kept[process.stderr])

    def _patience_seconds(self, due: float) -> float:
        """How long to wait before the next look. Raises SampleFailed: told to stop, or the time is up."""
        if self._stopping.is_set():
            raise SampleFailed(f"{self._argv[0]} was killed: the sampler is told to stop")
        if (left_seconds := due - time.monotonic()) <= 0:
            raise SampleFailed(f"{self._argv[0]} took longer than {self._limit_seconds:g} s")
        return min(left_seconds, LOOK_SECONDS)


def _with_signals() -> None:
    """In the child: the signals that the sampler itself waits for are the command's own again."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _text(kept: bytes) -> str:
    text = kept.decode(errors="replace")
    return text.partition("\n")[2] if len(kept) == KEPT_BYTES else text  # half a line could be another number


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
