"""Calls of a key service over a network: tried again while that can help, inside the time that the caller has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from sceau.keys.errors import KeyServiceUnavailable
from sceau.objects.deadline import time_left, within

LONGEST_SECONDS: Final = 6.0
"""All attempts of one call together, when the caller has no less time."""

ATTEMPTS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.05

ResultT = TypeVar("ResultT")


class Transient(Exception):
    """A call failed in a way that may pass: throttled, overloaded, cut off. The message goes on if it does not pass."""


def retried(
    call: Callable[[float], ResultT], *, sleep: Callable[[float], None], random: Callable[[], float]
) -> ResultT:
    """What `call` returns; it is given the seconds that it may take, and called again after Transient.

    Pauses double from 50 ms and are random down to half (`random`: 0 to 1), so that many that were throttled together
    don't come back together. Raises KeyServiceUnavailable when attempts or time run out, and what `call` raises.
    """
    with within(LONGEST_SECONDS):
        reason = "no time was left to ask the key service"
        for attempt in range(ATTEMPTS):
            left = time_left(LONGEST_SECONDS)
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * (0.5 + random() / 2) if attempt else 0.0
            if left <= pause:
                break
            if pause:
                sleep(pause)
            try:
                return call(left - pause)
            except Transient as failed:
                reason = str(failed)
        raise KeyServiceUnavailable(reason)
