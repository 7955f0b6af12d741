"""The notifier: a thread that sends what a person should know to the webhook. No decision waits for it, no stop either."""

import logging
import threading

from holdfast_schemas.settings import ActuatorSettings

from .figures import Figures
from .ledger import AWAY, Ledger, Notification
from .webhook import post, wait_seconds

log = logging.getLogger("holdfast.actuator")
EVERY_SECONDS = 0.5
AWAY_SECONDS = 1.0
FAULT_SECONDS = 60.0
CLAIM_MARGIN_SECONDS = 2.0
"""How long after the timeout one that was taken to be sent is due again: it was sent, or its sender is dead."""


class Notifier:
    """Takes what is due, tries it once, and crosses it out or lets it wait."""

    def __init__(self, ledger: Ledger, settings: ActuatorSettings, figures: Figures) -> None:
        self._ledger = ledger
        self._settings = settings
        self._figures = figures

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. While the ledger is away nothing is due; a bug here is told by the log, and ends nothing."""
        while not stop.wait(EVERY_SECONDS):
            try:
                while not stop.is_set() and self.send_once():
                    pass
            except AWAY as error:
                log.warning("notifications wait: %s", error)
                self._ledger.close()
                stop.wait(AWAY_SECONDS)
            except Exception:  # the guard must not end, again and again, for want of a notification
                log.exception("notifications failed, and are tried again in %g s", FAULT_SECONDS)
                self._figures.notification("failed")
                self._ledger.close()
                stop.wait(FAULT_SECONDS)
        self._ledger.close()

    def send_once(self) -> bool:
        """Try the next one; whether there was one."""
        settings = self._settings
        claim_seconds = settings.notify_timeout_seconds + CLAIM_MARGIN_SECONDS
        with self._ledger.notifications() as rows:
            one = rows.take(settings.notify_cooldown_seconds, claim_seconds)
        if one is None:
            return False
        url, secret = settings.notify_url.get_secret_value(), settings.notify_secret.get_secret_value()
        came = post(url, secret, one.body, settings.notify_timeout_seconds)
        with self._ledger.notifications() as rows:
            if came.missing is None:
                rows.sent(one)
                self._figures.notification("sent")
            elif one.age_seconds >= settings.notify_give_up_seconds:
                rows.give_up(one)
                self._given_up(one, came.missing)
            else:
                seconds = wait_seconds(one.attempts, came)
                rows.wait(one, seconds)
                self._figures.notification("retried")
                why = "notification %s was not taken at try %d (%s): again in %.0f s"
                log.warning(why, one.id, one.attempts, came.missing, seconds)
        return True

    def _given_up(self, one: Notification, missing: str) -> None:
        self._figures.notification("given_up")
        hours = one.age_seconds / 3600
        log.error("notification %s is given up after %.1f h (%s): %s", one.id, hours, missing, one.body["text"])
