"""What of an error's text may leave the process: a template of known words; or, where opted in, the text without its values.

Values of rows live in error texts (`invalid input syntax for type numeric: "12,50 EUR"`). A template lets through only what
is known to be no value; a redacted text takes out what is known to be one, and can miss some (docs/personal-data.md).
"""

import re

from .error_words import ERROR_WORDS

TEMPLATE_CHARACTERS = 200
MESSAGE_BYTES = 512
READ_CHARACTERS = 2_000
"""Of longer texts only the beginning is looked at: a host's batch must not wait for patterns over megabytes."""
_TO_THE_END = r"(?:[^{0}\\]|\\.)*(?:{0}|\\?$)"  # a quote that is not closed holds a value to the end of what was read
_SINGLE = re.compile(r"(?<!\w)'" + _TO_THE_END.format("'"))
_DOUBLE = re.compile('"' + _TO_THE_END.format('"'))
_TYPOGRAPHIC = re.compile(r"«[^»]*(?:»|$)|“[^”]*(?:”|$)|`[^`]*(?:`|$)")
_IDENTIFIER = re.compile(r'"[A-Za-z_][A-Za-z0-9_.$]*"')
_ROW = re.compile(r"(?:=\s*|\bcontains\s*)\((?:.*\)|.*$)")
_ADDRESS = re.compile(r"[^\s@]{1,200}@[^\s@]+")
_LONG_NUMBER = re.compile(r"\+?\(?\d(?:[\s().,:/-]{0,2}\d){6,}")
_HEX = re.compile(r"\b(?=[0-9a-f-]{0,36}\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SECRET = re.compile(r"\b(password|passwd|pwd|secret|token|key)\s*[=:]\s*\S+", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_UNKNOWN = re.compile(r"\?(?:\s*\?)+")
_MARKS = ".,;:!"


def template(text: str) -> str:
    """The text's first line with every word that is not one of ``ERROR_WORDS`` as ``?``: equal for errors of one kind."""
    line = _first_line(text)
    for pattern in (_URL, _SECRET, _SINGLE, _DOUBLE, _TYPOGRAPHIC, _ROW, _ADDRESS, _LONG_NUMBER, _HEX, _NUMBER):
        line = pattern.sub("?", line)
    return _UNKNOWN.sub("?", _WORD.sub(_known, line))[:TEMPLATE_CHARACTERS]


def redacted(text: str) -> str:
    """The text's first line, in at most 512 bytes of UTF-8, without quoted values, keys, addresses, long numbers, secrets.

    A double-quoted identifier stays (it names a constraint or a column), and so do plain words: names may be among them.
    """
    line = _first_line(text)
    for pattern in (_URL, _SECRET, _SINGLE, _TYPOGRAPHIC, _ROW, _ADDRESS, _LONG_NUMBER, _HEX):
        line = pattern.sub("?", line)
    line = _DOUBLE.sub(lambda found: found[0] if _IDENTIFIER.fullmatch(found[0]) else "?", line)
    return line.encode(errors="replace")[:MESSAGE_BYTES].decode(errors="ignore")


def _first_line(text: str) -> str:
    lines = text[:READ_CHARACTERS].strip().splitlines()  # what follows the first line (DETAIL, CONTEXT) quotes rows
    return lines[0] if lines else ""


def _known(found: re.Match[str]) -> str:
    """The word where it is one of ours; else ``?``, with the mark that ended it."""
    word = found[0]
    bare = word.rstrip(_MARKS)
    return word if bare.lower() in ERROR_WORDS else "?" + word[len(bare) :]
