"""One reading of one trigger's signal."""

from collections.abc import Callable

from holdfast_schemas.metrics import Reading


class Seen:
    """``observed``, ``fast`` and ``slow`` are over one window, a sixth and five; the verdict is worded only when asked for."""

    __slots__ = ("_words", "fast", "k", "n", "observed", "reading", "slow")

    def __init__(
        self,
        reading: Reading,
        words: Callable[[], str],
        observed: float | None = None,
        fast: float | None = None,
        slow: float | None = None,
        k: int | None = None,
        n: int | None = None,
    ) -> None:
        self.reading, self._words = reading, words
        self.observed, self.fast, self.slow, self.k, self.n = observed, fast, slow, k, n

    @property
    def verdict(self) -> str:
        """The reading in words; ask while the record that it was read at is judged."""
        return self._words()
