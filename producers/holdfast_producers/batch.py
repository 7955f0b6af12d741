"""One batch: timed, counted once when it ends, one latency sample whatever its size."""

from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Self

from holdfast_schemas.errors import HoldfastError

if TYPE_CHECKING:
    from .run import Run


class Batch:
    """``with run.batch(rows=n) as batch``: n rows attempted. An exception counts them as failed and goes on up.

    ``batch.failed(rows=k)`` says how many failed instead. ``batch.rows`` may be set inside where the number is known late.
    KeyboardInterrupt, SystemExit, a cancelled task and an order of Holdfast's own (RollbackRequested ...) are no errors of
    the migration: such a batch counts nothing. Call ``checkpoint()`` before a batch, not inside one.
    """

    __slots__ = ("_began_ns", "_failed", "_run", "rows")

    def __init__(self, run: "Run", rows: int) -> None:
        self._run = run
        self._failed: int | None = None
        self.rows = rows

    def failed(self, rows: int, error: BaseException | None = None) -> None:
        """``rows`` of this batch failed (ValueError: more than it has); ``error`` says how (class and template are reported)."""
        if not 0 <= rows <= self.rows:
            raise ValueError(f"failed(rows={rows}): this batch has {self.rows} rows")
        self._failed = rows
        if error is not None and rows:
            self._run.error(error, rows=rows)

    def error(self, error: BaseException, rows: int = 1) -> None:
        """Report how ``rows`` rows failed; ``failed`` says how many in all."""
        self._run.error(error, rows)

    def __enter__(self) -> Self:
        self._run.open_batch()
        self._began_ns = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration_ns = perf_counter_ns() - self._began_ns
        if error is None:
            self._run.close_batch(self.rows, self._failed or 0, duration_ns)
        elif isinstance(error, Exception) and not isinstance(error, HoldfastError):
            failed = self.rows if self._failed is None else self._failed
            self._run.close_batch(self.rows, failed, duration_ns, error if self._failed is None else None)
        else:
            self._run.abandon_batch()

    async def __aenter__(self) -> Self:
        await self._run.open_batch_async()
        self._began_ns = perf_counter_ns()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
