"""An error as it may leave the process: class, SQLSTATE and a template; the text only where the runner opted in."""

import re
from dataclasses import dataclass

from holdfast_schemas.redaction import redacted, template

_SQLSTATE = re.compile(r"^[0-9A-Z]{5}$")


@dataclass(frozen=True, slots=True)
class ErrorText:
    """One kind of error; equal ones are counted, not sent twice."""

    error_class: str
    sqlstate: str | None
    template: str
    message: str | None


def describe(error: BaseException, with_message: bool) -> ErrorText:
    """The error's class, SQLSTATE (of any driver that has ``sqlstate``) and template; its message if opted in."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else kind.__module__ + "."
    found = getattr(error, "sqlstate", None)
    sqlstate = found if isinstance(found, str) and _SQLSTATE.match(found) else None
    text = _text(error)
    return ErrorText(
        (module + kind.__qualname__)[:200], sqlstate, template(text), redacted(text) if with_message else None
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a host's own __str__; the error itself must go on up, not this one
        return ""
