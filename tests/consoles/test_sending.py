"""The requests of the live view: each answered in its own time, none holding up the view or another."""

import threading

from holdfast_consoles.cli.pressing import Asked
from holdfast_consoles.cli.sending import Sending
from holdfast_schemas.errors import RequestRefused
from holdfast_schemas.requests import PersonRequest
from tests.waiting import wait_for

ASKED = Asked("rollback", "orders", 7, "wrong rates")


def test_a_request_carries_what_was_asked_and_its_answer_is_told() -> None:
    heard: list[PersonRequest] = []

    def answer(request: PersonRequest) -> str:
        heard.append(request)
        return "rollback of orders#8 is effective"

    sending = Sending(answer, "ana@db")
    sending.send(ASKED)
    sending.finish(20)
    assert sending.answers == ["rollback of orders#8 is effective"]
    [request] = heard
    assert (request.kind, request.migration_id, request.expected_epoch) == ("rollback", "orders", 7)
    assert (request.reason, request.actor) == ("wrong rates", "ana@db")


def test_a_refusal_and_a_fault_are_told_as_answers() -> None:
    def refused(request: PersonRequest) -> str:
        if request.kind == "rollback":
            raise RequestRefused("rollback", "orders", "refused", "now #9")
        raise OSError("no route")

    sending = Sending(refused, "ana")
    sending.send(ASKED)
    sending.send(Asked("pause", "orders", 7, "lunch"))
    sending.finish(20)
    assert sending.answers == ["rollback of orders was refused: now #9", "pause of orders failed: OSError: no route"]


def test_a_slow_answer_holds_up_neither_another_nor_the_leaving() -> None:
    go_on = threading.Event()

    def answer(request: PersonRequest) -> str:
        if request.kind == "rollback":
            go_on.wait(60)
        return f"{request.kind} done"

    sending = Sending(answer, "ana")
    sending.send(ASKED)
    sending.send(Asked("pause", "other", 3, "lunch"))
    wait_for(lambda: sending.answers[1] == "pause done", 20, "the quick answer")
    sending.finish(0.1)
    assert sending.open
    assert sending.answers == [
        "rollback orders#7: not answered yet; holdfast history orders tells what becomes of it",
        "pause done",
    ]
    go_on.set()
    sending.finish(20)
    assert not sending.open
    assert sending.answers == ["rollback done", "pause done"]
