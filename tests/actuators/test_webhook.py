"""One POST: what is sent, what an answer means, how long is waited. A real HTTP server, no ledger."""

import base64
import hashlib
import hmac
import socket
import threading

import pytest

from holdfast_actuators.webhook import Answer, answer, post, wait_seconds

from .receiver import receiver

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BODY = {"id": "cause/1", "text": "orders: a naïve reason"}


def test_a_receiver_can_prove_who_sent_it() -> None:
    with receiver() as to:
        assert post(to.url, SECRET, BODY, 5).missing is None
    [(headers, content)] = to.signed
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    expected = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["Content-Type"], headers["webhook-id"]) == ("application/json", "cause/1")
    assert to.came == [BODY]


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as to:
        post(to.url, "", BODY, 5)
    assert "webhook-signature" not in to.signed[0][0]


@pytest.mark.parametrize("elsewhere", ["/other", "file:///etc/hostname", "http://127.0.0.1:1/"])
def test_a_redirect_is_not_followed(elsewhere: str) -> None:
    with receiver() as to:
        to.status, to.headers = 302, {"Location": elsewhere}
        came = post(to.url, "", BODY, 5)
    assert came == Answer("it answered 302", refused=True)
    assert to.paths == ["/hook/token-of-ours"]


def test_a_receiver_that_is_not_there_or_hangs_or_talks_nonsense_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/token-of-ours"
        hangs = post(url, "", BODY, 0.2)
    gone = post(url, "", BODY, 5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def nonsense() -> None:
            talk, _ = listening.accept()
            talk.recv(1000)
            talk.sendall(b"\x00\xff what?\r\n\r\n")
            talk.close()

        talking = threading.Thread(target=nonsense)
        talking.start()
        odd = post(f"http://127.0.0.1:{listening.getsockname()[1]}/token-of-ours", "", BODY, 5)
        talking.join()
    for came in (hangs, gone, odd):
        assert came.missing
        assert not came.refused
        assert "token-of-ours" not in came.missing
    assert "timed out" in str(hangs.missing)
    assert "refused" in str(gone.missing)


@pytest.mark.parametrize(
    ("status", "taken", "refused"),
    [
        (200, True, False), (204, True, False), (301, False, True), (400, False, True), (404, False, True),
        (408, False, False), (410, False, True), (429, False, False), (500, False, False), (503, False, False),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, taken: bool, refused: bool) -> None:
    came = answer(status, "")
    assert (came.missing is None, came.refused) == (taken, refused)


def test_waits_double_to_a_longest_and_are_never_shorter_than_asked() -> None:
    away, no = Answer("away"), Answer("no", refused=True)
    for attempts, first, refused in (
        (1, 1, 60),
        (2, 2, 120),
        (4, 8, 480),
        (9, 256, 900),
        (10, 300, 900),
        (500, 300, 900),
    ):
        for _ in range(20):
            assert first / 2 <= wait_seconds(attempts, away) <= first
            assert refused / 2 <= wait_seconds(attempts, no) <= refused
    assert wait_seconds(1, answer(429, "120")) == 120
    assert wait_seconds(1, answer(503, "999999999")) == 3600
    assert wait_seconds(1, answer(503, "Wed, 21 Oct 2026 07:28:00 GMT")) <= 1
