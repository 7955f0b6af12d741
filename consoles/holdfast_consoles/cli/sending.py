"""The requests of a live view: each is sent and waited for in a thread of its own, so that the view goes on meanwhile."""

import threading
import time
from collections.abc import Callable

from holdfast_schemas.errors import HoldfastError
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.transport.security import KafkaSettings

from .asking import answered, told
from .pressing import Asked

Ask = Callable[[PersonRequest], str]


class Sending:
    """What was asked for, each with its newest answer in words."""

    def __init__(self, ask: Ask, actor: str) -> None:
        self._ask = ask
        self._actor = actor
        self._answers: list[str] = []
        self._threads: list[threading.Thread] = []

    def send(self, asked: Asked) -> None:
        """Begin a request; its answer comes into ``answers``."""
        request = PersonRequest(
            request_id=new_id(),
            kind=asked.kind,
            migration_id=asked.migration_id,
            expected_epoch=asked.epoch,
            actor=self._actor,
            reason=asked.reason,
            occurred_at=now(),
        )
        place = len(self._answers)
        self._answers.append(
            f"{asked}: not answered yet; holdfast history {asked.migration_id} tells what becomes of it"
        )
        thread = threading.Thread(target=self._wait_for, args=(request, place), name=str(asked), daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def answers(self) -> list[str]:
        """A line a request, in the order in which they were sent."""
        return list(self._answers)

    @property
    def open(self) -> bool:
        """Whether a request waits for its answer."""
        return any(thread.is_alive() for thread in self._threads)

    def finish(self, seconds: float) -> None:
        """Wait for open answers, at most ``seconds`` for all of them: a request that is under way gets into the log."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _wait_for(self, request: PersonRequest, place: int) -> None:
        try:
            self._answers[place] = self._ask(request)
        except HoldfastError as refusal:
            self._answers[place] = str(refusal)
        except Exception as error:  # noqa: BLE001 - shown: the view goes on, and nobody else would tell of it
            self._answers[place] = f"{request.kind} of {request.migration_id} failed: {type(error).__name__}: {error}"


def asking(kafka: KafkaSettings, wait_seconds: float) -> Ask:
    """Asks as `holdfast pause` does, and tells the answer."""
    return lambda request: told(answered(kafka, request, wait_seconds))
