"""An error as it may leave the process: class, SQLSTATE and a template; the text only where the runner opted in.

Values of rows live in error texts (`invalid input syntax for type numeric: "12,50 EUR"`), so they are taken out first.
"""

import re
from dataclasses import dataclass

TEMPLATE_CHARACTERS = 200
MESSAGE_BYTES = 512
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|«[^»]*»|“[^”]*”")
_PARENTHESISED = re.compile(r"=\s*\([^)]*\)")
_ADDRESS = re.compile(r"\S+@\S+")
_HEX = re.compile(r"\b[0-9a-f]{8,}(?:-[0-9a-f]+)*\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SECRET = re.compile(r"\b(password|passwd|pwd|secret|token|key)\s*[=:]\s*\S+", re.IGNORECASE)
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
    lines = str(error).strip().splitlines()  # what follows the first line (DETAIL, CONTEXT) quotes rows
    first = lines[0] if lines else ""
    return ErrorText(
        (module + kind.__qualname__)[:200], sqlstate, template(first), redacted(first) if with_message else None
    )


def template(text: str) -> str:
    """The text without its values: what is quoted, numbers, addresses, long hexadecimal become ``?``."""
    for pattern in (_SECRET, _QUOTED, _PARENTHESISED, _ADDRESS, _HEX, _NUMBER):
        text = pattern.sub("?", text)
    return text[:TEMPLATE_CHARACTERS]


def redacted(text: str) -> str:
    """The text without secrets, addresses and key values, in at most 512 bytes of UTF-8."""
    for pattern in (_SECRET, _PARENTHESISED, _ADDRESS):
        text = pattern.sub("?", text)
    return text.encode()[:MESSAGE_BYTES].decode(errors="ignore")
