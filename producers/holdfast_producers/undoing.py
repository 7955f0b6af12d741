"""The undo, as the ledger follows it (protocol 17): how far it is, that it is done, and whether it is still this worker's."""

from types import TracebackType
from typing import Literal, Self

from holdfast_schemas.errors import RollbackRequested, RunStopped
from holdfast_schemas.runs import UndoReported

from .counters import Counters
from .guard import Guard
from .outbox import Outbox


class Undo:
    """``with run.undoing(request) as undo``. Losing the guard's lease does not stop it; a higher undo token does.

    Leaving it normally says that all is taken back; an exception that it failed. RunStopped says neither.
    """

    def __init__(
        self, guard: Guard, outbox: Outbox, counters: Counters, migration_id: str, request: RollbackRequested
    ) -> None:
        self._guard = guard
        self._outbox = outbox
        self._counters = counters
        self._migration_id = migration_id
        self._request = request
        self._rows_undone = 0
        self._steps_left = 0

    @property
    def token(self) -> int:
        """What each step has to find in the target's journal, so that a worker that was replaced cannot write."""
        return self._request.undo_token

    def step(self, steps_left: int, rows_undone: int) -> None:
        """One step is committed: ``steps_left`` remain, ``rows_undone`` rows were taken back so far.

        Raises RunStopped when the ledger gave the undo to another worker.
        """
        self._rows_undone = rows_undone
        self._counters.set_undone(rows_undone)
        self._report("running", steps_left)
        self.check()

    def check(self) -> None:
        """Raises RunStopped when the ledger gave the undo to another worker, or under a higher token."""
        with self._guard.changed:
            obedience = self._guard.obedience
            if not obedience.may_undo(self.token):
                why = f"the undo under token {self.token} is no longer this worker's ({obedience.why()})"
                raise RunStopped(self._migration_id, self._request.run_id, why, obedience.undoer)

    def _report(self, outcome: Literal["running", "done", "failed"], steps_left: int, detail: str = "") -> None:
        record = self._outbox.worker.record(
            UndoReported,
            undo_token=self.token,
            steps_left=steps_left,
            rows_undone=self._rows_undone,
            outcome=outcome,
            detail=detail[:512],
        )
        self._outbox.undo(record)
        self._steps_left = steps_left

    def __enter__(self) -> Self:
        self._guard.undoing(self.token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.check()
                self._report("done", 0)
            elif not isinstance(error, RunStopped):
                self._report("failed", self._steps_left, type(error).__name__)
        finally:
            self._guard.undoing(None)
