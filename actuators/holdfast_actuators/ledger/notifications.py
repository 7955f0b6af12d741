"""What a person should know, as rows: written with the outcome that they tell, taken out one by one by the notifier.

No row stays locked while it is sent: a row that is taken becomes due again after ``claim_seconds``, so one that was sent
and never crossed out is sent again, and no decision waits for a receiver.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from holdfast_schemas.states import Outcome

from .rows import ActionRow

TOLD: frozenset[Outcome] = frozenset(("noted", "refused", "held", "unacknowledged", "failed"))
"""The outcomes that a person is told of."""
NOTIFY_LOCK = 0x4E4F5449
"""Advisory lock ("NOTI"): two notifiers take rows in turn, so that neither sends what the other is sending."""


@dataclass(frozen=True)
class Notification:
    """A row that is to be sent now; ``attempts`` counts this try."""

    seq: int
    id: str
    about: str
    body: dict[str, Any]
    attempts: int
    age_seconds: float


def body(action: ActionRow, now: datetime) -> dict[str, Any]:
    """What the webhook's receiver gets (docs/webhook.md)."""
    return {
        "id": f"{action.cause_id}/{action.revision}",
        "text": _text(action),
        "migration_id": action.migration_id,
        "run_id": action.run_id,
        "epoch": action.epoch,
        "kind": action.kind,
        "outcome": action.state,
        "verdict": action.verdict,
        "reason": action.reason,
        "actor": action.actor,
        "next": _next(action),
        "occurred_at": now.isoformat().replace("+00:00", "Z"),
    }


def _text(action: ActionRow) -> str:
    """One line, escaped as Slack asks: a reason is anybody's words, and must not mention a channel."""
    said = action.verdict if action.state == "noted" and action.verdict else action.reason
    if action.verdict and action.verdict not in said:
        said += f" ({action.verdict})"
    subject, kind = action.migration_id or "everything", action.kind.replace("_", " ")
    line = " ".join(f"{subject}: {kind} by {action.actor} {action.state}: {said}".split())
    printable = "".join(c if c.isprintable() else "�" for c in line)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _next(action: ActionRow) -> str:
    """The command that a person would type next."""
    if action.migration_id is None:
        return "holdfast triggers show" if action.kind == "apply_triggers" else "holdfast status"
    return f"holdfast {'status' if action.state == 'unacknowledged' else 'explain'} {action.migration_id}"


def owe(db: psycopg.Connection, action: ActionRow, now: datetime) -> None:
    """Write a notification down, inside the transaction that writes its outcome."""
    about = json.dumps([action.migration_id, action.run_id, action.kind, action.state, action.actor])
    told = body(action, now)
    db.execute("INSERT INTO notification (id, about, body) VALUES (%s, %s, %s)", (told["id"], about, json.dumps(told)))


class Notifications:
    """The rows inside one transaction of the notifier."""

    def __init__(self, db: psycopg.Connection, schema: str) -> None:
        self._db = db
        self._schema = schema

    def take(self, cooldown_seconds: float, claim_seconds: float) -> Notification | None:
        """The next one to send; None when none is due. The newest of those that say the same stands for all of them."""
        self._db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (NOTIFY_LOCK, self._schema))
        self._db.execute(
            "DELETE FROM notified WHERE sent_at <= clock_timestamp() - make_interval(secs => %s)", (cooldown_seconds,)
        )
        # Not while one that says the same is being sent, or waits for its next try.
        self._db.execute(
            "DELETE FROM notification WHERE about IN (SELECT about FROM notified)"
            " AND about NOT IN (SELECT about FROM notification WHERE due_at > clock_timestamp())"
        )
        row = self._db.execute(
            "SELECT about, max(seq), max(attempts) + 1 FROM notification GROUP BY about"
            " HAVING max(due_at) <= clock_timestamp() ORDER BY 3, 2 LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        about, seq, attempts = row
        self._db.execute("DELETE FROM notification WHERE about = %s AND seq < %s", (about, seq))
        found = self._db.execute(
            "UPDATE notification SET attempts = %s, due_at = clock_timestamp() + make_interval(secs => %s) WHERE seq = %s"
            " RETURNING id, body, extract(epoch FROM clock_timestamp() - created_at)",
            (attempts, claim_seconds, seq),
        ).fetchone()
        assert found is not None
        return Notification(seq, found[0], about, found[1], attempts, float(found[2]))

    def sent(self, one: Notification) -> None:
        """The receiver took it: cross it out, and begin its cool-down."""
        self.give_up(one)
        self._db.execute(
            "INSERT INTO notified (about) VALUES (%s) ON CONFLICT (about) DO UPDATE SET sent_at = excluded.sent_at",
            (one.about,),
        )

    def wait(self, one: Notification, seconds: float) -> None:
        """The receiver did not take it: due again after so long."""
        self._db.execute(
            "UPDATE notification SET due_at = clock_timestamp() + make_interval(secs => %s) WHERE seq = %s",
            (seconds, one.seq),
        )

    def give_up(self, one: Notification) -> None:
        """Cross it out."""
        self._db.execute("DELETE FROM notification WHERE seq = %s", (one.seq,))
