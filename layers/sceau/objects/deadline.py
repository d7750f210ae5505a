"""How long whoever asks will still wait. Adapters of stores and key services that ask over a network keep to it.

It travels beside the ports, in a context variable: each thread, and each asynchronous task, has its own. So no port and
no use case names it, and an adapter that never waits need not know of it.
Why: docs/decisions/0006-deadline-beside-the-ports.md
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_end: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give all calls in the block `seconds` together. An earlier end that was set outside stays the end."""
    outer, own = _end.get(), monotonic() + seconds
    token = _end.set(own if outer is None else min(own, outer))
    try:
        yield
    finally:
        _end.reset(token)


def time_left(at_most: float) -> float:
    """Seconds that a call may still take: `at_most`, or less when the deadline is nearer. 0 when it has passed."""
    end = _end.get()
    return at_most if end is None else max(0.0, min(at_most, end - monotonic()))
