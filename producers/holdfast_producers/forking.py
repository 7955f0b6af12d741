"""Fork: what was measured to crash or hang, and the one cure that held (a child's exit runs no inherited destructor).

A librdkafka client does not survive ``os.fork``: its threads are gone, so closing or destroying it in the child hangs or
crashes. Each inherited client is therefore given one reference that nobody ever drops, and then forgotten.
"""

import ctypes
import os
import weakref
from typing import Any, Protocol


class Forkable(Protocol):
    """Anything that has to begin anew in a forked child."""

    def forked(self) -> None: ...


_forkables: "weakref.WeakSet[Any]" = weakref.WeakSet()


def begin_anew_after_fork(thing: Forkable) -> None:
    """From now on ``thing.forked()`` is called in every forked child, as long as something else holds the thing."""
    _forkables.add(thing)


def keep_for_ever(client: object) -> None:
    """Leak an inherited client on purpose, so that its destructor never runs in this child."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def _in_child() -> None:
    for thing in list(_forkables):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
