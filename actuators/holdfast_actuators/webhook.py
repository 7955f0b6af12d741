"""One POST to the webhook: signed, not redirected, over http and https only. What its answer means, and how long to wait."""

import base64
import hashlib
import hmac
import http.client
import json
import random
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

AWAY_SECONDS = (1.0, 300.0)
"""The first and the longest wait for a receiver that is away or busy."""
REFUSED_SECONDS = (60.0, 900.0)
"""The same for one that says no: a person must mend the setting, and may within the day."""
BUSY = frozenset((408, 429))
RETRY_AFTER_SECONDS = 3600.0


@dataclass(frozen=True)
class Answer:
    """What became of one try. ``refused``: the receiver is there and says no; ``missing``: why it was not taken."""

    missing: str | None
    refused: bool = False
    retry_after_seconds: float = 0.0


TAKEN = Answer(None)


def _opener() -> urllib.request.OpenerDirector:
    """http and https, proxies of the environment; nothing that follows a redirect or opens another kind of address."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()):
        opener.add_handler(handler)
    return opener


def signature(secret: str, notification_id: str, timestamp: int, content: bytes) -> str:
    """``webhook-signature`` as Standard Webhooks have it; ``secret`` is ``whsec_`` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{notification_id}.{timestamp}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(url: str, secret: str, body: dict[str, Any], timeout_seconds: float) -> Answer:
    """Try once; never raises because of the receiver. ``timeout_seconds`` bounds its silence."""
    content, timestamp = json.dumps(body).encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "holdfast",
        "webhook-id": body["id"],
        "webhook-timestamp": str(timestamp),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, body["id"], timestamp, content)
    request = urllib.request.Request(url, content, headers, method="POST")
    try:
        with _opener().open(request, timeout=timeout_seconds) as response:
            return answer(response.status, response.headers.get("Retry-After", ""))
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: an address that urllib cannot use; never the address itself, which holds a token.
        return Answer(type(error).__name__ if isinstance(error, ValueError) else f"{error or type(error).__name__}")


def answer(status: int, retry_after: str) -> Answer:
    """What a status means."""
    if 200 <= status < 300:
        return TAKEN
    asked = min(float(retry_after), RETRY_AFTER_SECONDS) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return Answer(
        f"it answered {status}", refused=300 <= status < 500 and status not in BUSY, retry_after_seconds=asked
    )


def wait_seconds(attempts: int, came: Answer) -> float:
    """Until the next try: doubled with each, up to the longest, and up to half of it off by chance; as asked at least."""
    first, longest = REFUSED_SECONDS if came.refused else AWAY_SECONDS
    doubled = min(longest, first * 2.0 ** min(attempts - 1, 30))
    return max(came.retry_after_seconds, doubled * random.uniform(0.5, 1.0))
