"""What a runner makes once: settings, a sink, and the one thread that sends."""

import atexit
import logging
import os
import re
import sys
import weakref

from holdfast_schemas.errors import SettingsInvalid
from holdfast_schemas.identity import NAME_PATTERN, UUID_PATTERN, new_id
from holdfast_schemas.settings import Settings

from .flusher import Flusher
from .forking import begin_anew_after_fork
from .kafka_sink import KafkaSink
from .membership import Plan
from .run import Run
from .sink import Sink

logging.getLogger("holdfast").addHandler(logging.NullHandler())
RUN_ID_VARIABLE = "HOLDFAST_RUN_ID"
RUN = "reporter.run()"


class Reporter:
    """Reports runs to Holdfast and lets it hold them. One a process; threads share it, a forked child may go on using it.

    It installs no signal handlers: SIGTERM by default action loses what was counted since the last report.
    """

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        self.settings = settings or Settings.load()
        self.sink: Sink = sink or KafkaSink(self.settings.kafka)
        self.flusher = Flusher(self.sink, self.settings.reporter.floor_seconds)
        self._runs: list[Run] = []
        begin_anew_after_fork(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    @classmethod
    def from_env(cls) -> "Reporter":
        """A reporter of ``holdfast.toml`` and the environment. Raises SettingsInvalid, SettingsUnreadable."""
        return cls(Settings.load())

    def run(
        self,
        migration_id: str,
        *,
        target: str,
        total_rows: int | None = None,
        total_is_estimate: bool = False,
        rows_already_done: int = 0,
        expected_workers: int = 1,
        takeover: bool = False,
        can_undo: bool = False,
        run_id: str | None = None,
    ) -> Run:
        """A run of this migration on the database that Holdfast's settings call ``target``; enter it with ``with``.

        ``run_id`` (else HOLDFAST_RUN_ID, else a new one) is shared by all processes of one attempt, also when it is taken
        up again. ``can_undo``: this worker takes the run back when RollbackRequested is raised. In guard mode entering
        waits for the ledger and the guard, at most ``start_timeout_seconds`` without an answer, and raises RunRefused,
        RunAlreadyLive, RollbackRequested (an older run's undo is owed: see ``rejoin``) or GuardUnavailable. What no record
        can carry raises SettingsInvalid here.
        """
        _at_least("total_rows", total_rows, 0)
        _at_least("rows_already_done", rows_already_done, 0)
        _at_least("expected_workers", expected_workers, 1)
        plan = Plan(
            migration_id=name_or_refusal(RUN, "migration_id", migration_id),
            run_id=run_id_of_process(run_id),
            target=name_or_refusal(RUN, "target", target),
            total_rows=total_rows,
            total_is_estimate=total_is_estimate,
            rows_already_done=rows_already_done,
            expected_workers=expected_workers,
            takeover=takeover,
            can_undo=can_undo,
        )
        return Run(self, plan)

    def rejoin(self, migration_id: str, run_id: str, *, target: str) -> Run:
        """Join an older run to take it back: its ``checkpoint()`` waits until the ledger names this worker.

        For a RollbackRequested that was raised on entering another run (``run_id`` is the request's).
        """
        plan = Plan(
            name_or_refusal(RUN, "migration_id", migration_id),
            run_id_of_process(run_id),
            name_or_refusal(RUN, "target", target),
            can_undo=True,
            joins=True,
        )
        return Run(self, plan)

    def close(self) -> None:
        """End what is still open, within ``close_timeout_seconds``, and stop sending. Called at the process's end."""
        for run in list(self._runs):
            run.end_with_process()
        left = self.flusher.stop(self.settings.reporter.close_timeout_seconds)
        if left:
            logging.getLogger("holdfast.producers").warning("%d records were never delivered", left)

    def began(self, run: Run) -> None:
        """A run of this reporter began."""
        self._runs.append(run)

    def ended(self, run: Run) -> None:
        """A run of this reporter ended."""
        if run in self._runs:
            self._runs.remove(run)

    def forked(self) -> None:
        """In a forked child: no threads, no clients; both are made anew when a run is used."""
        self.sink.forked()
        self.flusher.forked()

    def end_with_child(self) -> None:
        """A multiprocessing child ends without ``atexit``: close through multiprocessing's own finalizers."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.close, exitpriority=100)


def _close_at_exit(reference: weakref.ref[Reporter]) -> None:
    if (reporter := reference()) is not None:
        reporter.close()


def name_or_refusal(where: str, what: str, value: str) -> str:
    """The name, or SettingsInvalid, which says where it was given."""
    if not re.match(NAME_PATTERN, value):
        raise SettingsInvalid(where, [(what, repr(value), f"allowed is {NAME_PATTERN}")])
    return value


def _at_least(what: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise SettingsInvalid(RUN, [(what, repr(value), f"allowed is {least} or more")])


def run_id_of_process(given: str | None) -> str:
    """The attempt that this process belongs to: ``given``, else HOLDFAST_RUN_ID, else a new one."""
    value = given or os.environ.get(RUN_ID_VARIABLE) or new_id()
    if not re.match(UUID_PATTERN, value):
        raise SettingsInvalid("the environment", [(RUN_ID_VARIABLE, repr(value), "allowed is a UUID in lower case")])
    return value
