"""How others are asked: witnesses, a time-stamp authority. What travels is hashes and signatures, never an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered: HTTP status, media type (without parameters, lowercase), body."""

    status: int
    media_type: str
    body: bytes


Ask = Callable[[str, bytes, str], Reply]
"""POSTs bytes of a media type to an https URL: `ask(url, body, media_type)`. Ends within seconds, follows no redirect.

Raises NoReply when there is no answer, or a longer one than 64 KiB."""
